//! A control for each rule: a connector that breaks it is found, with that rule.

use towpath_test::conformance::{
    BothRule, Broken, Rule, SinkRule, SourceRule, check_both, check_sink, check_source,
};

use crate::{
    faults::{SinkFault, SourceFault},
    rig::{MemoryRig, SECRET},
};

/// A rule is found to be broken, and the message says so in these words.
#[track_caller]
fn finds(checked: Result<(), Broken>, rule: impl Into<Rule>, words: &str) {
    let broken = checked.expect_err("it is broken");
    assert_eq!(broken.rule, rule.into(), "{broken}");
    assert!(broken.what.contains(words), "{broken}");
}

#[track_caller]
fn source(fault: SourceFault, rule: SourceRule, words: &str) {
    let rig = MemoryRig::new().with_source(fault);
    finds(check_source(rule, rig), rule, words);
}

#[track_caller]
fn sink(fault: SinkFault, rule: SinkRule, words: &str) {
    let rig = MemoryRig::new().with_sink(fault);
    finds(check_sink(rule, rig), rule, words);
}

#[test]
fn a_source_that_tells_nobody() {
    let rule = SourceRule::AtLeastOnce;
    source(
        SourceFault::TellsNobody,
        rule,
        "100 messages are outstanding",
    );
    source(
        SourceFault::TellsNobody,
        SourceRule::Drain,
        "outstanding at the server",
    );
}

#[test]
fn a_source_that_acknowledges_early() {
    let rule = SourceRule::NotEarly;
    source(SourceFault::AcksEarly, rule, "0 messages are outstanding");
    let rule = SourceRule::Killed;
    source(SourceFault::AcksEarly, rule, "have not come");
}

#[test]
fn a_source_that_takes_what_is_given_back_for_done() {
    for rule in [SourceRule::GivenBack, SourceRule::Attempts] {
        source(SourceFault::LosesNacks, rule, "no message has come");
    }
    source(
        SourceFault::LosesNacks,
        SourceRule::Dropped,
        "no message has come",
    );
}

#[test]
fn a_source_that_settles_what_it_has_when_it_is_dropped() {
    let fault = SourceFault::AcksWhenDropped;
    source(fault, SourceRule::Killed, "have not come");
    source(fault, SourceRule::ConcurrentClose, "are not done");
}

#[test]
fn a_source_that_never_settles_what_is_rejected() {
    source(SourceFault::ForgetsRejects, SourceRule::Over, "outstanding");
}

#[test]
fn a_source_that_forgets_a_delay_or_never_ends_it() {
    source(SourceFault::ForgetsDelay, SourceRule::Delay, "comes after");
    source(
        SourceFault::DelaysForEver,
        SourceRule::Delay,
        "no message has come",
    );
}

#[test]
fn a_source_that_takes_the_newest_first() {
    source(SourceFault::LastFirst, SourceRule::Order, "comes behind");
}

#[test]
fn a_source_that_claims_nothing() {
    source(
        SourceFault::ClaimsNothing,
        SourceRule::Group,
        "or to both consumers",
    );
}

#[test]
fn a_source_that_starves_its_second_member() {
    source(SourceFault::StarvesOthers, SourceRule::Group, "the other 0");
}

#[test]
fn a_source_that_hangs_on_drain() {
    let words = "a drain ends otherwise";
    for rule in [SourceRule::Drain, SourceRule::StopInTime] {
        source(SourceFault::HangsOnDrain, rule, words);
    }
}

#[test]
fn a_source_that_takes_what_is_abandoned_for_done() {
    source(SourceFault::LosesAtStop, SourceRule::Stop, "have not come");
}

#[test]
fn a_source_that_never_notices() {
    let words = "has not said within 20s";
    for rule in [
        SourceRule::Reconnect,
        SourceRule::Frozen,
        SourceRule::Absent,
        SourceRule::StopInTime,
        SourceRule::Quiet,
    ] {
        source(SourceFault::NeverNotices, rule, words);
    }
}

#[test]
fn a_source_that_settles_what_it_has_when_its_server_is_back() {
    let rule = SourceRule::Reconnect;
    source(SourceFault::DropsOnReconnect, rule, "are not done");
}

#[test]
fn a_source_that_never_comes_back() {
    let rule = SourceRule::Reconnect;
    source(SourceFault::NeverReturns, rule, "are not done");
}

#[test]
fn a_source_that_does_not_say_that_its_server_is_back() {
    let words = "after its server is back the source says";
    source(SourceFault::SaysNothingWhenBack, SourceRule::Quiet, words);
}

#[test]
fn a_source_that_does_not_start_without_its_server() {
    let rule = SourceRule::Absent;
    source(
        SourceFault::FailsToOpen,
        rule,
        "the pipeline does not start",
    );
}

#[test]
fn a_source_whose_errors_show_a_secret() {
    for rule in [SourceRule::Absent, SourceRule::Missing] {
        let rig = MemoryRig::new().with_source(SourceFault::ShowsSecrets);
        let broken = check_source(rule, rig).expect_err("it is broken");
        assert!(broken.what.contains("shows a secret"), "{broken}");
        assert!(!broken.what.contains(SECRET), "{broken}");
    }
}

#[test]
fn a_source_that_makes_the_place_that_is_missing() {
    let rule = SourceRule::Missing;
    source(SourceFault::MakesPlaces, rule, "the error has no words");
}

#[test]
fn a_source_that_cannot_bear_some_payloads() {
    let rule = SourceRule::Sizes;
    source(SourceFault::SkipsEmpty, rule, "5 of 6 have come");
    source(SourceFault::ReadsText, rule, "it is none");
}

#[test]
fn a_source_without_headers() {
    let rule = SourceRule::Headers;
    source(SourceFault::IgnoresHeaders, rule, "header tenant is None");
    let words = "the first delivery is attempt 1";
    source(SourceFault::IgnoresAttemptHeader, rule, words);
}

#[test]
fn a_source_that_counts_nothing_or_changes_identities() {
    let rule = SourceRule::Attempts;
    source(SourceFault::CountsNothing, rule, "delivery 2 is attempt 1");
    source(
        SourceFault::NewIdentities,
        rule,
        "the identity of one message",
    );
}

#[test]
fn a_source_that_loses_on_cancel() {
    let rule = SourceRule::Cancel;
    source(SourceFault::LosesOnCancel, rule, "messages never come");
    source(SourceFault::ForgetsOnCancel, rule, "the server holds");
}

#[test]
fn a_source_that_extends_no_lease() {
    source(
        SourceFault::NeverExtends,
        SourceRule::Lease,
        "come again while",
    );
}

#[test]
fn a_source_that_settles_for_others() {
    let rule = SourceRule::Fenced;
    source(SourceFault::SettlesForOthers, rule, "is taken for good");
}

#[test]
fn a_source_that_spins() {
    let rig = || {
        MemoryRig::new()
            .with_source(SourceFault::Spins)
            .on_real_time()
    };
    let rule = SourceRule::Quiet;
    finds(
        check_source(rule, rig()),
        rule,
        "with nothing to do the source is called",
    );
    let words = "has not said within 20s";
    source(SourceFault::SpinsWhenLost, rule, words);
}

#[test]
fn a_source_that_claims_or_pushes_more() {
    let rule = SourceRule::Demand;
    source(SourceFault::ClaimsMore, rule, "6 messages are claimed");
    source(
        SourceFault::PushesMore,
        rule,
        "6 messages are pushed where 1",
    );
    let rig = MemoryRig::new().with_source(SourceFault::PushesMore);
    let words = "messages are pushed where 8 were asked for";
    finds(check_source(SourceRule::AtLeastOnce, rig), rule, words);
}

#[test]
fn a_sink_that_loses_the_last_of_a_batch() {
    for rule in [SinkRule::Stored, SinkRule::Workers, SinkRule::Cancel] {
        sink(SinkFault::LosesTheLast, rule, "are not among the");
    }
}

#[test]
fn a_sink_that_stores_backwards() {
    sink(
        SinkFault::Backwards,
        SinkRule::Stored,
        "stored behind later ones",
    );
}

#[test]
fn a_sink_whose_done_is_too_early() {
    sink(
        SinkFault::DoneTooEarly,
        SinkRule::Durable,
        "are not among the",
    );
}

#[test]
fn a_sink_that_cannot_be_two() {
    sink(
        SinkFault::OneAtATime,
        SinkRule::Workers,
        "are not among the",
    );
}

#[test]
fn a_sink_that_stores_twice() {
    let words = "messages are stored, and 100 were written";
    sink(SinkFault::StoresTwice, SinkRule::Idempotent, words);
}

#[test]
fn a_sink_that_rejects_all_for_one() {
    sink(SinkFault::RejectsAll, SinkRule::Refused, "20 others done");
}

#[test]
fn a_sink_that_cannot_bear_some_payloads() {
    sink(SinkFault::SkipsEmpty, SinkRule::Sizes, "of 0 bytes");
    sink(SinkFault::TriesTooLarge, SinkRule::Sizes, "has not ended");
}

#[test]
fn a_sink_without_headers() {
    let rule = SinkRule::Headers;
    sink(SinkFault::IgnoresHeaders, rule, "header tenant is None");
    sink(
        SinkFault::IgnoresAttempts,
        rule,
        "header towpath-attempt is None",
    );
    sink(SinkFault::IgnoresTraces, rule, "header traceparent is None");
}

#[test]
fn a_sink_that_takes_its_server_for_there() {
    for rule in [SinkRule::Reconnect, SinkRule::Absent] {
        let rig = MemoryRig::new().with_sink(SinkFault::DoneWhenLost);
        finds(check_sink(rule, rig), rule, "are not among the");
    }
    let words = "messages are done while the server hangs";
    sink(SinkFault::DoneWhenLost, SinkRule::Frozen, words);
    let words = "without a server messages are done or rejected";
    sink(SinkFault::DoneWhenLost, SinkRule::StopInTime, words);
}

#[test]
fn a_sink_that_rejects_what_its_server_never_saw() {
    let rule = SinkRule::Reconnect;
    sink(SinkFault::RejectsWhenLost, rule, "messages were to be done");
}

#[test]
fn a_sink_that_says_nothing() {
    let words = "has not said within 20s";
    for rule in [
        SinkRule::Reconnect,
        SinkRule::Frozen,
        SinkRule::Absent,
        SinkRule::StopInTime,
        SinkRule::Quiet,
    ] {
        sink(SinkFault::NeverSays, rule, words);
    }
}

#[test]
fn a_sink_that_does_not_start_without_its_server() {
    sink(SinkFault::FailsToOpen, SinkRule::Absent, "does not start");
}

#[test]
fn a_sink_whose_errors_show_a_secret() {
    let rig = MemoryRig::new().with_sink(SinkFault::ShowsSecrets);
    let broken = check_sink(SinkRule::Absent, rig).expect_err("it is broken");
    assert!(broken.what.contains("shows a secret"), "{broken}");
    assert!(!broken.what.contains(SECRET), "{broken}");
}

#[test]
fn a_sink_that_makes_the_place_that_is_missing() {
    sink(SinkFault::MakesPlaces, SinkRule::Missing, "no error names");
}

#[test]
fn a_sink_that_a_dropped_write_breaks() {
    sink(
        SinkFault::BreaksOnCancel,
        SinkRule::Cancel,
        "no other succeeds",
    );
}

#[test]
fn a_sink_that_spins() {
    sink(SinkFault::Spins, SinkRule::Quiet, "the sink tries");
}

#[test]
fn a_sink_that_its_source_does_not_understand() {
    let rig = MemoryRig::new().with_sink(SinkFault::ChangesKeys);
    let rule = BothRule::RoundTrip;
    finds(check_both(rule, rig), rule, "comes, and");
    let rig = MemoryRig::new().with_sink(SinkFault::IgnoresTraces);
    let rule = BothRule::Trace;
    finds(check_both(rule, rig), rule, "None comes out");
    let rig = MemoryRig::new().with_sink(SinkFault::DoneWhenLost);
    let rule = BothRule::Relay;
    finds(check_both(rule, rig), rule, "have not come");
}
