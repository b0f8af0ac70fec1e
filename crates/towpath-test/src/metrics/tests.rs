//! A figure that is wrong anywhere is found, and shown beside the right one.

use std::time::Duration;

use towpath::{Batcher, Flow, Processor, RateLimit, Retry, StageName, core::ReachStatus};
use towpath_telemetry::Monitor;

use super::*;
use crate::{Cue, Recorder, TestSource, paused};

/// A run in which there is something of everything.
fn report() -> Report {
    let mut report = paused(async {
        let (source, _) = TestSource::of(0..100_u64);
        let cue = Cue::new()
            .delay(Duration::from_millis(3))
            .fail_when(|n| n % 10 == 0)
            .drop_when(|n| n % 10 == 1)
            .panic_when(|n| n % 10 == 2);
        let work = Processor::new("wo\"rk", cue.handler())
            .retry(Retry::fixed(Duration::from_millis(1)).attempts(2))
            .rate_limit(RateLimit::per_second(1000));
        let letters = Recorder::new();
        Flow::from(source)
            .process(work)
            .batch(Batcher::new("collect").max_messages(7))
            .sink(
                Recorder::new()
                    .delay(Duration::from_millis(20))
                    .sink("write"),
            )
            .dead_letter(letters.sink("letters"))
            .telemetry(Monitor::new())
            .run()
            .await
            .unwrap()
    });
    // Of servers, which this run has none of.
    report.sources[0].lag = Some(7);
    report.stages[2].reach = Some(ReachStatus::default());
    report
}

fn text(report: &Report) -> String {
    prometheus(&families(&[report.status()]))
}

#[test]
fn the_metrics_of_a_report_are_true() {
    let report = report();
    assert_eq!(agree(&report), Ok(()));
    let text = text(&report);
    assert!(text.contains(r#"stage="wo\"rk""#), "{text}");
    let metrics = Metrics::read(&text);
    let sum = metrics.get("towpath_pipeline_outcomes_total", &[]);
    assert_eq!(sum.to_bits(), 100_f64.to_bits());
    let none = metrics.find("towpath_stage_sent_total", &[("stage", "none")]);
    assert_eq!(none, None);
}

#[test]
fn no_line_of_the_metrics_can_change_unnoticed() {
    let report = report();
    let text = text(&report);
    let figures = text.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for line in figures {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let other = value.parse::<f64>().unwrap() + 1.0;
        let doctored = text.replace(&format!("{line}\n"), &format!("{series} {other}\n"));
        let said = compare(&report, &doctored).unwrap_err().to_string();
        assert!(said.contains(&other.to_string()), "{line}: {said}");
        assert!(said.contains(value), "{line}: {said}");
        let gone = text.replace(&format!("{line}\n"), "");
        // That of a bucket is told by the next one.
        if !series.contains("le=\"") || series.contains("+Inf") {
            assert!(compare(&report, &gone).is_err(), "{line}");
        }
        count += 1;
    }
    assert!(count > 150, "{count}");
}

#[test]
fn a_report_that_says_otherwise_is_noticed_with_both_figures() {
    type Doctor = fn(&mut Report);
    let doctors: [(Doctor, &str); 11] = [
        (|r| r.counts.done += 1, "outcome=\"done\""),
        (|r| r.counts.high_water += 1, "in_flight_high_water"),
        (|r| r.latency.sum += 1_000, "latency_seconds_sum"),
        (|r| r.latency.count += 1, "latency_seconds_bucket"),
        (|r| r.stages[0].counts.panicked += 1, "stage_panicked"),
        (|r| r.stages[0].in_flight += 1, "stage_in_flight"),
        (|r| r.sources[0].settled.sent += 1, "result=\"sent\""),
        (
            |r| *r.sources[0].lag.as_mut().unwrap() += 1,
            "towpath_source_lag",
        ),
        (
            |r| r.stages[2].reach.as_mut().unwrap().failures += 1,
            "towpath_sink_failures_total",
        ),
        (
            |r| *r.dropped.values_mut().next().unwrap() += 1,
            "reason=\"cue\"",
        ),
        (
            |r| {
                let batches = r.stages[1].batches.as_mut().unwrap();
                *batches.closed.values_mut().next().unwrap() += 1;
            },
            "trigger=\"count\"",
        ),
    ];
    for (doctor, of) in doctors {
        let mut report = report();
        let text = text(&report);
        doctor(&mut report);
        let said = compare(&report, &text).unwrap_err();
        assert!(matches!(said, Untrue::Wrong { .. }), "{said}");
        assert!(said.to_string().contains(of), "{of}: {said}");
    }
}

#[test]
fn what_only_one_of_them_has_is_noticed() {
    let whole = report();
    let text = text(&whole);
    let mut less = whole.clone();
    less.stages.pop();
    let said = compare(&less, &text).unwrap_err();
    assert!(matches!(said, Untrue::Unexpected(_)), "{said}");
    let mut more = whole.clone();
    more.stages[0].name = StageName::from("another");
    let said = compare(&more, &text).unwrap_err();
    assert!(matches!(said, Untrue::Missing { .. }), "{said}");
}

#[test]
fn what_is_no_page_is_not_read() {
    for broken in [
        "a",
        "a b",
        "a{b=\"c\" 1",
        "a{b=\"c\\d\"} 1",
        "a{b=c} 1",
        "a 1\na 2",
        "a{le=\"2\"} 1\na{le=\"1\"} 1",
    ] {
        assert!(Page::parse(broken).is_err(), "{broken}");
    }
    let page = Page::parse("# HELP a b\na{b=\"\\\\ \\n \\\"\",c=\"}\"} +Inf\n").unwrap();
    let found: Vec<_> = page.with("a", &[("b", "\\ \n \""), ("c", "}")]).collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].number().is_infinite());
}
