//! What is accepted, and what is said about the rest.

use clap::CommandFactory;

use super::*;

fn error(arguments: &[&str]) -> String {
    let arguments = ["flights"].iter().chain(arguments);
    Cli::try_parse_from(arguments).unwrap_err().to_string()
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn without_arguments_it_is_the_bundled_month() {
    let job = Cli::try_parse_from(["flights"]).unwrap().job;
    assert!(job.input.is_file() && job.airports.is_file());
    assert_eq!((job.latency, job.concurrency.get()), (2, 64));
    assert!(job.check().is_ok());
}

#[test]
fn nothing_may_be_zero_that_must_be_some() {
    for option in ["--concurrency", "--batch-size"] {
        let text = error(&[option, "0"]);
        assert!(text.contains(option) && text.contains("zero"), "{text}");
    }
}

#[test]
fn every_count_has_an_upper_bound() {
    for (option, value) in [
        ("--concurrency", "100001"),
        ("--batch-size", "100001"),
        ("--latency", "60001"),
    ] {
        let text = error(&[option, value]);
        assert!(text.contains(option) && text.contains(value), "{text}");
    }
}

#[test]
fn unknown_words_are_quoted() {
    assert!(error(&["--repot", "json"]).contains("--repot"));
    assert!(error(&["--report", "xml"]).contains("table, json"));
}

#[test]
fn help_names_no_path_of_the_machine_it_was_built_on() {
    let help = Cli::command().render_long_help().to_string();
    assert!(!help.contains(env!("CARGO_MANIFEST_DIR")), "{help}");
}

#[test]
fn no_file_is_read_and_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let job = Job::bundled(path("db"), path("dead"));
    let twice = |job: Job| matches!(job.check(), Err(FlightsError::SameFile { .. }));
    assert!(!twice(job.clone()));
    assert!(twice(Job {
        dead_letters: job.input.clone(),
        ..job.clone()
    }));
    assert!(twice(Job {
        database: job.planes.clone(),
        ..job.clone()
    }));
    assert!(twice(Job {
        database: job.dead_letters.clone(),
        ..job
    }));
}
