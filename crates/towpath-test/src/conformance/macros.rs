//! A test for each rule, so that a failure names its rule.

/// One test for each [`SourceRule`](crate::conformance::SourceRule), in a module `source`.
///
/// Takes the path of a function that makes a [`SourceRig`](crate::conformance::SourceRig):
/// `fn() -> Option<Rig>`, `None` where its server cannot be had, and the rule is not run.
#[macro_export]
macro_rules! conformance_source {
    ($rig:path) => {
        /// The rules of sources, each a test.
        mod source {
            use super::*;
            $crate::__conformance_tests! { $rig, check_source, SourceRule,
                everything_that_was_put_in_comes_out_and_nothing_is_left: AtLeastOnce,
                what_is_not_done_yet_is_still_at_the_server: NotEarly,
                what_is_given_back_comes_again: GivenBack,
                what_nobody_settled_comes_again: Dropped,
                what_a_killed_pipeline_had_comes_to_the_next_one: Killed,
                what_is_rejected_or_left_out_does_not_come_again: Over,
                a_delay_is_kept_and_ends: Delay,
                messages_come_in_the_order_that_is_promised: Order,
                a_group_shares_the_work: Group,
                a_drain_acknowledges_everything_that_is_done: Drain,
                what_was_not_done_at_a_stop_comes_to_the_next_pipeline: Stop,
                a_stop_ends_in_time: StopInTime,
                a_server_that_was_killed_is_found_again: Reconnect,
                a_server_that_hangs_is_noticed_and_found_again: Frozen,
                a_server_that_is_not_there_at_the_start_is_waited_for: Absent,
                a_place_that_does_not_exist_is_an_error_that_names_it: Missing,
                empty_and_large_payloads_come_through: Sizes,
                headers_come_in: Headers,
                each_delivery_counts_one_attempt_more: Attempts,
                pipelines_that_are_stopped_at_random_moments_lose_nothing: ConcurrentClose,
                a_call_that_is_dropped_at_any_await_loses_nothing: Cancel,
                work_that_is_longer_than_its_lease_stays_with_its_worker: Lease,
                an_outcome_that_comes_too_late_changes_nothing: Fenced,
                while_the_server_is_gone_next_to_nothing_is_done: Quiet,
                no_more_is_received_or_claimed_than_was_asked_for: Demand,
            }
        }
    };
}

/// One test for each [`SinkRule`](crate::conformance::SinkRule), in a module `sink`.
///
/// Takes the path of a function that makes a [`SinkRig`](crate::conformance::SinkRig):
/// `fn() -> Option<Rig>`, `None` where its server cannot be had, and the rule is not run.
#[macro_export]
macro_rules! conformance_sink {
    ($rig:path) => {
        /// The rules of sinks, each a test.
        mod sink {
            use super::*;
            $crate::__conformance_tests! { $rig, check_sink, SinkRule,
                everything_that_is_written_is_stored_as_it_was: Stored,
                what_is_done_outlives_a_server_that_is_killed_right_after: Durable,
                several_workers_at_once_store_everything: Workers,
                a_message_that_comes_again_is_stored_once: Idempotent,
                one_message_that_the_system_refuses_fails_alone: Refused,
                empty_and_large_payloads_are_stored_and_one_too_large_fails_alone: Sizes,
                headers_go_out: Headers,
                a_server_that_was_killed_is_found_again: Reconnect,
                a_server_that_hangs_is_waited_for: Frozen,
                a_server_that_is_not_there_at_the_start_is_waited_for: Absent,
                a_place_that_does_not_exist_is_an_error_that_names_it: Missing,
                a_stop_ends_in_time_and_gives_back_what_was_not_written: StopInTime,
                a_write_that_is_dropped_at_any_await_can_be_made_again: Cancel,
                while_the_server_is_gone_next_to_nothing_is_done: Quiet,
            }
        }
    };
}

/// One test for each [`BothRule`](crate::conformance::BothRule), in a module `both`.
///
/// Takes the path of a function that makes a [`BothRig`](crate::conformance::BothRig):
/// `fn() -> Option<Rig>`, `None` where its server cannot be had, and the rule is not run.
#[macro_export]
macro_rules! conformance_both {
    ($rig:path) => {
        /// The rules of a sink and a source of one system, each a test.
        mod both {
            use super::*;
            $crate::__conformance_tests! { $rig, check_both, BothRule,
                what_the_sink_writes_comes_out_of_the_source_as_it_was: RoundTrip,
                traces_and_attempts_go_on_from_one_pipeline_to_the_next: Trace,
                nothing_is_lost_from_place_to_place_when_the_server_is_killed: Relay,
            }
        }
    };
}

/// The tests of one list of rules; that none is missing is checked when it is compiled.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($rig:path, $check:ident, $rules:ident, $($name:ident: $rule:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let Some(rig) = $rig() else { return };
                let rule = $crate::conformance::$rules::$rule;
                if let Err(broken) = $crate::conformance::$check(rule, rig) {
                    panic!("{broken}");
                }
            }
        )*

        const _: () = {
            let listed = [$($crate::conformance::$rules::$rule),*];
            assert!(listed.len() == $crate::conformance::$rules::ALL.len());
        };
    };
}
