//! Every panel of the dashboard shows something.

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use towpath_telemetry::{
    Monitor,
    events::{EventFiles, EventLog},
};
use towpath_test::assert_no_leaks;
use towpath_test_servers::{or_not_run, promtool};

use crate::{everything::everything, ms, observability, watch::Watch};

/// What the panels ask for, with Grafana's variables filled in.
fn queries() -> BTreeSet<String> {
    let text = fs::read_to_string(observability("dashboard.json")).unwrap();
    let mut found = BTreeSet::new();
    collect(&serde_json::from_str(&text).unwrap(), &mut found);
    let filled = found.iter().map(|query| {
        let query = query.replace("$__rate_interval", "30s");
        query.replace("$pipeline", ".*")
    });
    filled.collect()
}

fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(query)) = fields.get("expr") {
                into.insert(query.clone());
            }
            fields.values().for_each(|field| collect(field, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_shows_something_of_a_pipeline_that_uses_everything() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::new()
        .durable(EventFiles::new(dir.path()))
        .unwrap();
    let monitor = Monitor::new().logged_to(log);
    let Some(watch) = Watch::begin(&monitor, &[]).await else {
        return;
    };
    let pipeline = everything().telemetry(monitor.clone());
    let running = pipeline.start().await.unwrap();

    let queries = queries();
    assert!(queries.len() > 40, "{}", queries.len());
    // A rate needs two scrapes, with something between them.
    watch.until("sum(rate(towpath_batch_closed_total[30s])) > 0", |s| {
        !s.is_empty()
    });
    for query in queries {
        watch.until(&query, |samples| {
            samples.iter().any(|s| s.value.is_finite())
        });
    }
    for trouble in [
        "towpath_retry_retried_total",
        "towpath_timeout_timed_out_total",
        "towpath_dedup_duplicates_total",
        "towpath_hedge_hedged_total",
        "towpath_fallback_used_total",
        "towpath_stage_panicked_total",
        "towpath_source_redelivered_total",
        "towpath_policy_waited_total",
        "towpath_stage_sent_total{kind='dead letters'}",
    ] {
        watch.until(&format!("sum({trouble}) > 0"), |samples| {
            !samples.is_empty()
        });
    }
    let page = watch.page();
    let checked = or_not_run(promtool(&["check", "metrics"], &page)).unwrap();
    assert!(
        checked.is_good && checked.said.is_empty(),
        "{}",
        checked.said
    );
    running.handle().drain_within(ms(5000));
    assert_no_leaks(&running.join().await.unwrap());
    watch.end().await;
}
