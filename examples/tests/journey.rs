//! The example `journey` as a user meets it, without a collector.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

#[path = "journey/program.rs"]
mod program;

use program::run;

#[test]
fn without_a_collector_it_runs_and_traces_nothing() {
    let run = run(&[]);
    let expected = "\
order-0  done    
order-1  done    
order-2  rejected
order-3  done    
nothing was traced: --otlp URL says where to send traces
";
    assert_eq!((run.status, &*run.stdout), (Some(0), expected));
    assert_eq!(run.stderr, "");
}

#[test]
fn where_nobody_listens_it_says_what_was_lost_and_points_nowhere() {
    let run = run(&["--otlp", "http://127.0.0.1:1"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let last = run.stdout.lines().last().unwrap();
    assert!(
        last.starts_with("0 spans sent to http://127.0.0.1:1, "),
        "{last}"
    );
    assert!(!last.ends_with(" 0 lost"), "{last}");
    assert!(
        run.stderr.contains("telemetry is being lost"),
        "{}",
        run.stderr
    );
}

#[test]
fn arguments_that_make_no_sense_are_named() {
    let errors = [
        (&["--otlp", "ftp://collector"][..], 1, "ftp://collector"),
        (&["--otlp", ""], 1, "error: "),
        (&["--otlp"], 2, "--otlp <URL>"),
        (&["--jaeger", "http://127.0.0.1:16686"], 2, "--otlp <URL>"),
        (&["--orders", "7"], 2, "--orders"),
    ];
    for (arguments, status, word) in errors {
        let run = run(arguments);
        assert_eq!(run.status, Some(status), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(word), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn what_a_handler_logs_is_printed_behind_the_trace_of_its_order() {
    let run = run(&["--otlp", "http://127.0.0.1:1"]);
    let trace = |order: &str| {
        let mut lines = run.stdout.lines();
        let line = lines.find(|line| line.starts_with(order)).unwrap();
        line.split(' ').next_back().unwrap()
    };
    let line = |order: u64| format!("price found order={order}");
    for order in [0, 1, 3] {
        let mut lines = run.stderr.lines();
        let line = lines.find(|said| said.contains(&line(order))).unwrap();
        let begins = format!("trace={} ", trace(&format!("order-{order}")));
        assert!(line.starts_with(&begins), "{line}");
    }
}
