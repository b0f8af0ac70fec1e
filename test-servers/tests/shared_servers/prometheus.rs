//! Prometheus, and the program that checks its files.

#![expect(
    clippy::float_cmp,
    reason = "small whole numbers come back as they were"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use tempfile::TempDir;
use towpath_test_servers::{Prometheus, or_not_run, promtool};

use crate::PATIENCE;

const METRICS: &str = "# HELP messages_total What came.\n# TYPE messages_total counter\n\
                       messages_total{stage=\"parse\"} 42\nmessages_total{stage=\"load\"} 40\n";

const RULES: &str = "groups: [{name: all, rules: [\
                     {record: 'all:messages', expr: sum(messages_total)},\
                     {alert: Many, expr: 'messages_total > 41'}]}]";

/// Answers every request with the metrics, until the test ends.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let size = METRICS.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
                 Content-Length: {size}\r\nConnection: close\r\n\r\n"
            );
            // Prometheus may have gone away meanwhile.
            let asked = stream.read(&mut [0; 4096]);
            drop(asked.and_then(|_| stream.write_all(format!("{head}{METRICS}").as_bytes())));
        }
    });
    address
}

#[test]
fn what_it_has_scraped_is_asked_for() {
    let target = serve();
    let Some(prometheus) = or_not_run(Prometheus::start(&[&target], &[])) else {
        return;
    };
    let query = "sum(messages_total)";
    let totals = prometheus
        .await_query(query, |totals| !totals.is_empty(), PATIENCE)
        .unwrap();
    assert_eq!((totals.len(), totals[0].value), (1, 82.0));
    let stages = prometheus.query("messages_total{stage!=\"load\"}").unwrap();
    assert_eq!((stages.len(), stages[0].value), (1, 42.0));
    assert_eq!(stages[0].labels["stage"], "parse");
    assert_eq!(stages[0].labels["instance"], target);
    assert_eq!(
        prometheus.query("scalar(vector(1.5))").unwrap()[0].value,
        1.5
    );
    assert!(prometheus.query("sum(").is_err());
}

#[test]
fn rules_are_evaluated() {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules.yml");
    fs::write(&rules, RULES).unwrap();
    let Some(prometheus) = or_not_run(Prometheus::start(&[&serve()], &[&rules])) else {
        return;
    };
    let query = "all:messages and on() ALERTS{alertname=\"Many\"}";
    let totals = prometheus
        .await_query(query, |totals| !totals.is_empty(), PATIENCE)
        .unwrap();
    assert_eq!(totals[0].value, 82.0);
}

#[test]
fn promtool_tells_good_from_bad() {
    let Some(good) = or_not_run(promtool(&["check", "metrics"], METRICS)) else {
        return;
    };
    assert!(good.is_good, "{}", good.said);
    let bad = METRICS.replace("messages_total", "messages");
    let bad = or_not_run(promtool(&["check", "metrics"], &bad)).unwrap();
    assert!(!bad.is_good);
    assert!(bad.said.contains("_total"), "{}", bad.said);
}
