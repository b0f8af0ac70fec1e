//! Totals: while pipelines run, and after they have ended.

use towpath::{
    Batcher, BoxError, Failure, Flow, Pipeline, Processor, Reason, Report, core::Distribution,
};
use towpath_telemetry::Monitor;
use towpath_test::{Cue, Metrics, Outcomes, Recorder, TestSource, assert_no_leaks};
use towpath_test_servers::{or_not_run, promtool};

use crate::{
    ms,
    watch::{Watch, same},
};

/// 1000 messages; the last hundred wait for the cue.
fn orders(cue: &Cue<u64>) -> (Pipeline, Outcomes) {
    let (source, outcomes) = TestSource::new(0..1000_u64).endless().build();
    let work = Processor::new("work", cue.handler()).unordered(200);
    let pipeline = Flow::from(source)
        .process(work)
        .batch(Batcher::new("collect").max_messages(10).max_wait(ms(50)))
        .sink(Recorder::new().sink("write"))
        .dead_letter(Recorder::new().sink("letters"))
        .named("orders");
    (pipeline, outcomes)
}

/// Of ten messages that do not wait, one is rejected, one dropped, and one given back.
fn cue() -> Cue<u64> {
    Cue::new()
        .delay(ms(20))
        .fail_when(|n| n % 10 == 1)
        .drop_when(|n| n % 10 == 2)
        .retry_when(|n| n % 10 == 3)
        .hang_when(|n| *n >= 900)
}

fn returns() -> (Pipeline, Outcomes) {
    let (source, outcomes) = TestSource::new(0..50_u64).endless().build();
    let work = Processor::new("work", Cue::new().handler());
    let pipeline = Flow::from(source).process(work).acknowledge();
    (pipeline.named("returns"), outcomes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_has_the_totals_of_pipelines_that_run_and_of_those_that_have_ended() {
    let monitor = Monitor::new();
    let Some(watch) = Watch::begin(&monitor, &[]).await else {
        return;
    };
    let cue = cue();
    let (orders, outcomes) = orders(&cue);
    let (returns, others) = returns();
    let orders = orders.telemetry(monitor.clone()).start().await.unwrap();
    let returns = returns.telemetry(monitor).start().await.unwrap();
    outcomes.wait_for(900).await;
    others.wait_for(50).await;

    watch.becomes("sum(towpath_pipeline_outcomes_total)", 950.0);
    for (query, value) in RUNNING {
        // Outcomes are there a moment before the last counts of a stage are.
        watch.becomes(query, *value);
    }
    let series = watch.value("count({pipeline='orders'})");

    cue.release();
    outcomes.wait_for(1000).await;
    orders.handle().drain();
    returns.handle().drain();
    let (orders, returns) = (orders.join().await.unwrap(), returns.join().await.unwrap());
    let stopped = "sum(towpath_pipeline_phase{phase='stopped'})";
    watch.becomes(stopped, 2.0);
    for report in [&orders, &returns] {
        assert_no_leaks(report);
        ended(&watch, report);
    }
    quantiles(
        &watch,
        "towpath_pipeline_latency_seconds",
        "pipeline='orders'",
        &orders.latency,
    );
    let work = &orders.stages[0];
    assert_eq!(work.name.as_str(), "work");
    let labels = "pipeline='orders',stage='work'";
    quantiles(
        &watch,
        "towpath_stage_duration_seconds",
        labels,
        &work.duration,
    );
    // The drain is one more reason why a batch was closed.
    let now = watch.value("count({pipeline='orders'})");
    assert!(now <= series + 2.0, "{series} series became {now}");
    watch.becomes("up", 1.0);
    nothing_to_complain_of(&watch.page());
    watch.end().await;
}

/// While the last hundred wait.
const RUNNING: &[(&str, f64)] = &[
    ("up", 1.0),
    ("count(towpath_pipeline_emitted_total)", 2.0),
    (
        "towpath_pipeline_phase{phase='running',pipeline='orders'}",
        1.0,
    ),
    ("towpath_pipeline_emitted_total{pipeline='orders'}", 1000.0),
    ("towpath_pipeline_emitted_total{pipeline='returns'}", 50.0),
    (
        "towpath_pipeline_outcomes_total{pipeline='orders',outcome='done'}",
        630.0,
    ),
    (
        "towpath_pipeline_outcomes_total{pipeline='orders',outcome='rejected'}",
        90.0,
    ),
    (
        "towpath_pipeline_outcomes_total{pipeline='orders',outcome='dropped'}",
        90.0,
    ),
    (
        "towpath_pipeline_outcomes_total{pipeline='orders',outcome='retried'}",
        90.0,
    ),
    (
        "towpath_pipeline_dropped_total{pipeline='orders',reason='cue'}",
        90.0,
    ),
    (
        "towpath_pipeline_outcomes_total{pipeline='returns',outcome='done'}",
        50.0,
    ),
    ("towpath_pipeline_in_flight{pipeline='orders'}", 100.0),
    (
        "towpath_stage_in_flight{pipeline='orders',stage='work'}",
        100.0,
    ),
    ("towpath_pipeline_in_flight{pipeline='returns'}", 0.0),
    (
        "towpath_stage_received_total{pipeline='orders',stage='work'}",
        1000.0,
    ),
    (
        "towpath_stage_sent_total{pipeline='orders',stage='work'}",
        630.0,
    ),
    (
        "towpath_stage_sent_total{pipeline='orders',stage='write'}",
        630.0,
    ),
    (
        "towpath_stage_sent_total{pipeline='orders',stage='letters'}",
        90.0,
    ),
    (
        "towpath_stage_sent_total{pipeline='returns',stage='work'}",
        50.0,
    ),
    (
        "towpath_pipeline_latency_seconds_count{pipeline='orders'}",
        630.0,
    ),
    (
        "towpath_pipeline_latency_seconds_bucket{pipeline='orders',le='+Inf'}",
        630.0,
    ),
    ("towpath_batch_size_sum{pipeline='orders'}", 630.0),
    (
        "sum(towpath_source_settled_total{pipeline='orders'})",
        900.0,
    ),
];

/// What Prometheus keeps of a pipeline is its report.
fn ended(watch: &Watch, report: &Report) {
    let pipeline = report.name.as_str();
    let expected = Metrics::of(&[report.status()]);
    let select = format!("{{pipeline='{pipeline}',__name__=~'towpath_.*'}}");
    let samples = watch.until(&select, |samples| samples.len() > 100);
    for sample in &samples {
        let labels = sample
            .labels
            .iter()
            .map(|(name, value)| (&**name, &**value));
        let of_the_scrape = ["__name__", "job", "instance", "le"];
        let own: Vec<_> = labels
            .filter(|(name, _)| !of_the_scrape.contains(name))
            .collect();
        let name = &sample.labels["__name__"];
        if sample.labels.contains_key("le") || name == "towpath_pipeline_uptime_seconds" {
            continue;
        }
        let expected = expected.get(name, &own);
        assert!(same(sample.value, expected), "{sample:?} is not {expected}");
    }
}

/// What Prometheus makes of the buckets lies in the one where the engine has it.
fn quantiles(watch: &Watch, name: &str, labels: &str, figures: &Distribution) {
    for part in [0.5, 0.9, 0.99] {
        let query = format!("histogram_quantile({part}, sum by (le) ({name}_bucket{{{labels}}}))");
        let seconds = watch.value(&query);
        let end = figures.quantile(part).unwrap();
        let end = f64::from(u32::try_from(end / 1000).unwrap()) / 1e6;
        let about = end / 2.1..=end * 1.001;
        assert!(
            about.contains(&seconds),
            "{query} is {seconds}, not in {about:?}"
        );
        assert!(seconds > 0.016, "each takes 20 ms, {query} is {seconds}");
    }
}

fn nothing_to_complain_of(page: &str) {
    let checked = or_not_run(promtool(&["check", "metrics"], page)).unwrap();
    assert!(
        checked.is_good && checked.said.is_empty(),
        "{}",
        checked.said
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_without_end_make_no_series_without_end() {
    let monitor = Monitor::new();
    let Some(watch) = Watch::begin(&monitor, &[]).await else {
        return;
    };
    let (source, _) = TestSource::of(0..500_u64);
    let leave_out = Processor::new("leave out", |n: u64| async move {
        Err::<u64, BoxError>(Failure::drop(Reason::new(format!("reason {n}"))).into())
    });
    let pipeline = Flow::from(source).process(leave_out).acknowledge();
    let report = pipeline
        .named("many")
        .telemetry(monitor)
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    watch.becomes("sum(towpath_pipeline_dropped_total)", 500.0);
    let reasons = watch.value("count(towpath_pipeline_dropped_total)");
    assert!(reasons <= 65.0, "{reasons}");
    let labels = watch.data("/api/v1/labels");
    let labels: Vec<_> = labels
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|l| l.as_str())
        .collect();
    let known = [
        "__name__", "instance", "job", "kind", "le", "outcome", "phase", "pipeline", "reason",
        "result", "source", "stage",
    ];
    assert_eq!(labels, known);
    watch.end().await;
}
