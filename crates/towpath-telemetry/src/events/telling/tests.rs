//! What the logs say of events.

use towpath_core::{Cause, ForcedBreaker};

use super::*;
use crate::listener::heard;

/// What is said of events of a stage at these seconds.
fn said(events: impl IntoIterator<Item = (u64, EventKind)>) -> Vec<String> {
    heard(|| {
        let teller = Teller::default();
        for (second, kind) in events {
            let at = Duration::from_secs(second);
            teller.tell(&"orders".into(), &Event::new(at, "enrich".into(), kind));
        }
    })
}

fn rejected() -> EventKind {
    let cause = Cause::new("enrich".into(), "no such customer");
    EventKind::Rejected { cause }
}

#[test]
fn an_event_names_its_pipeline_stage_and_kind_and_says_it_in_words() {
    let line = &said([(0, EventKind::Started)])[0];
    for part in [
        "INFO",
        "pipeline=orders",
        "stage=enrich",
        "\"started\"",
        "message=started",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let failed = EventKind::SourceFailed {
        error: "refused".into(),
        retry_in: Duration::from_secs(5),
    };
    let line = &said([(0, failed)])[0];
    assert!(line.starts_with("WARN"), "{line}");
    assert!(
        line.contains("source out of reach: refused; tried again in 5s"),
        "{line}"
    );
}

#[test]
fn only_the_life_of_the_pipeline_itself_has_no_stage() {
    let error = "refused".to_owned();
    let retry_in = Duration::from_secs(5);
    let failed = EventKind::SourceFailed { error, retry_in };
    let of_pipeline = |kind| {
        let lines = heard(|| {
            let event = Event::new(Duration::ZERO, "orders".into(), kind);
            Teller::default().tell(&"orders".into(), &event);
        });
        lines.concat()
    };
    let line = of_pipeline(EventKind::Draining);
    assert!(line.contains("pipeline=orders"), "{line}");
    assert!(!line.contains("stage"), "{line}");
    let line = of_pipeline(failed);
    assert!(line.contains("stage=orders"), "of its name: {line}");
}

#[test]
fn failures_are_warnings_and_what_an_operator_does_is_not() {
    let open = |to| EventKind::BreakerChanged {
        from: BreakerState::HalfOpen,
        to,
    };
    let forced = ForcedBreaker::Open;
    let lines = said([
        (0, open(BreakerState::Open)),
        (0, open(BreakerState::Closed)),
        (0, EventKind::BreakerForced { forced }),
        (0, EventKind::ConcurrencyChanged { concurrency: 2 }),
        (0, EventKind::Restarted { restarts: 3 }),
    ]);
    let levels: Vec<_> = lines.iter().map(|line| &line[..4]).collect();
    assert_eq!(levels, ["WARN", "INFO", "INFO", "INFO", "WARN"]);
}

#[test]
fn of_many_rejected_messages_one_in_ten_seconds_is_a_warning_with_the_count_of_the_others() {
    let lines = said([0, 0, 1, 9, 10, 10, 35].map(|second| (second, rejected())));
    let levels: Vec<_> = lines.iter().map(|line| &line[..4]).collect();
    assert_eq!(
        levels,
        ["WARN", "DEBU", "DEBU", "DEBU", "WARN", "DEBU", "WARN"]
    );
    let counts: Vec<_> = [0, 4, 6]
        .map(|i: usize| lines[i].contains("no such customer"))
        .into();
    assert_eq!(counts, [true; 3]);
    assert!(
        lines[4].contains("since_last=3") && lines[6].contains("since_last=1"),
        "{lines:?}"
    );
}
