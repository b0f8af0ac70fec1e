//! What is written can be read again, by a reader that knows nothing of the writer.

mod reader;

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestCaseResult};
use towpath_core::Histogram;

use self::reader::{Page, Read};
use super::*;
use crate::metrics::{Kind, Metric, catalog};

#[test]
fn a_page_looks_like_this() {
    let labels = vec![
        ("pipeline", "a \"b\"\\\n\u{fc}".to_owned()),
        ("outcome", "done".to_owned()),
    ];
    let done = Sample::new(labels, Value::Count(7));
    let families = [
        Family::new(&catalog::PIPELINE_OUTCOMES, vec![done]),
        Family::new(&catalog::PIPELINE_UPTIME, Vec::new()),
        Family::single(&catalog::TOKIO_BUSY, Value::Number(0.25)),
    ];
    let expected = r#"# HELP towpath_pipeline_outcomes_total Messages that have their outcome: done, retried, rejected or dropped.
# TYPE towpath_pipeline_outcomes_total counter
towpath_pipeline_outcomes_total{pipeline="a \"b\"\\\nü",outcome="done"} 7
# HELP towpath_tokio_busy_seconds_total Time that the worker threads were busy, added up.
# TYPE towpath_tokio_busy_seconds_total counter
towpath_tokio_busy_seconds_total 0.25
"#;
    assert_eq!(prometheus(&families), expected);
}

#[test]
fn a_histogram_ends_with_all_its_figures() {
    let figures = Histogram::default();
    for size in [1, 64, 1 << 20] {
        figures.add_figure(size, 1);
    }
    let Kind::Histogram(scale) = catalog::BATCH_SIZE.kind else {
        panic!("sizes are a histogram");
    };
    let value = Value::distribution(scale, &figures.distribution());
    let page = prometheus(&[Family::single(&catalog::BATCH_SIZE, value)]);
    let lines: Vec<_> = page.lines().skip(2).collect();
    assert_eq!(lines[0], "towpath_batch_size_bucket{le=\"1\"} 1");
    assert_eq!(lines[5], "towpath_batch_size_bucket{le=\"63\"} 1");
    assert_eq!(lines[6], "towpath_batch_size_bucket{le=\"127\"} 2");
    assert_eq!(lines[15], "towpath_batch_size_bucket{le=\"65535\"} 2");
    let end = [
        "towpath_batch_size_bucket{le=\"+Inf\"} 3",
        "towpath_batch_size_sum 1048641",
        "towpath_batch_size_count 3",
    ];
    assert_eq!(lines[16..], end);
}

#[test]
fn numbers_that_are_none_are_spelled_as_prometheus_reads_them() {
    let text = |number| Number(number).to_string();
    assert_eq!(text(f64::INFINITY), "+Inf");
    assert_eq!(text(f64::NEG_INFINITY), "-Inf");
    assert_eq!(text(f64::NAN), "NaN");
    assert_eq!(text(1.023e-6), "0.000001023");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(families in vec(family(), 0..8)) {
        let families = one_of_each(families);
        let page = Page::parse(&prometheus(&families));
        let written: Vec<_> = families.iter().filter(|family| !family.samples.is_empty()).collect();
        prop_assert_eq!(page.families.len(), written.len());
        for (read, family) in page.families.iter().zip(written) {
            same(read, family)?;
        }
    }
}

fn same(read: &Read, family: &Family) -> TestCaseResult {
    prop_assert_eq!(&read.name, &family.metric.prometheus_name());
    prop_assert_eq!(&read.kind, family.metric.kind.prometheus_type());
    prop_assert_eq!(&read.help, family.metric.help);
    let mut lines = read.lines.iter();
    for sample in &family.samples {
        for (suffix, bound, value) in figures(&sample.value) {
            let line = lines.next().expect("a line for each figure");
            prop_assert_eq!(&line.name, &format!("{}{suffix}", read.name));
            prop_assert_eq!(&line.labels, &labels(sample, bound));
            prop_assert!(line.says(&value), "{line:?} is not {value:?}");
        }
    }
    prop_assert!(lines.next().is_none());
    Ok(())
}

/// The lines that a figure makes: what stands behind the name, the bucket's end, the value.
fn figures(value: &Value) -> Vec<(&'static str, Option<f64>, Value)> {
    let Value::Distribution {
        bounds,
        cumulative,
        sum,
        count,
    } = value
    else {
        return vec![("", None, value.clone())];
    };
    let buckets = bounds.iter().copied().zip(cumulative.iter().copied());
    let buckets = buckets.chain([(f64::INFINITY, *count)]);
    let buckets = buckets.map(|(bound, below)| ("_bucket", Some(bound), Value::Count(below)));
    let rest = [
        ("_sum", None, Value::Number(*sum)),
        ("_count", None, Value::Count(*count)),
    ];
    buckets.chain(rest).collect()
}

fn labels(sample: &Sample, bound: Option<f64>) -> Vec<(String, String)> {
    let bound = bound.map(|bound| {
        let infinite = bound.is_infinite().then(|| "+Inf".to_owned());
        (
            "le".to_owned(),
            infinite.unwrap_or_else(|| bound.to_string()),
        )
    });
    let own = sample.labels.iter();
    own.map(|(name, value)| ((*name).to_owned(), value.clone()))
        .chain(bound)
        .collect()
}

fn one_of_each(families: Vec<Family>) -> Vec<Family> {
    let named = families
        .into_iter()
        .map(|family| (family.metric.name, family));
    named.collect::<BTreeMap<_, _>>().into_values().collect()
}

fn family() -> impl Strategy<Value = Family> {
    let metric = select(catalog::ALL);
    metric.prop_flat_map(|metric| {
        let samples = vec(sample(metric), 0..3);
        samples.prop_map(|samples| Family::new(metric, samples))
    })
}

fn sample(metric: &'static Metric) -> impl Strategy<Value = Sample> {
    let text = prop_oneof![any::<String>(), "[\"\\\\\n{}=, nü#]{0,8}"];
    let labels = vec(text, metric.labels.len());
    (labels, value(metric.kind)).prop_map(|(values, value)| {
        let labels = metric.labels.iter().copied().zip(values).collect();
        Sample::new(labels, value)
    })
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    if let Kind::Histogram(scale) = kind {
        let figures = vec((0..u64::MAX >> 8, 1..4_u64), 0..20);
        let read = figures.prop_map(move |figures| {
            let histogram = Histogram::default();
            for (figure, count) in &figures {
                histogram.add_figure(*figure, *count);
            }
            Value::distribution(scale, &histogram.distribution())
        });
        return read.boxed();
    }
    prop_oneof![
        any::<u64>().prop_map(Value::Count),
        any::<f64>().prop_map(Value::Number)
    ]
    .boxed()
}
