//! What is read from variables and code, and what is wrong with it.

use std::collections::HashMap;

use super::*;
use crate::otlp::Problem;

fn read_as(given: &Given, variables: &[(&str, &str)]) -> Result<Config, SetupError> {
    let variables: HashMap<_, _> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Config::read(given, &move |name: &str| variables.get(name).cloned())
}

fn read(variables: &[(&str, &str)]) -> Config {
    read_as(&flights(), variables).unwrap()
}

fn flights() -> Given {
    Given {
        service: "flights".to_owned(),
        ..Given::default()
    }
}

fn problems(given: &Given, variables: &[(&str, &str)]) -> Vec<Problem> {
    match read_as(given, variables) {
        Err(SetupError::Invalid { problems }) => problems,
        other => panic!("no problems: {other:?}"),
    }
}

fn uri(target: Option<&Target>) -> String {
    target.unwrap().uri.to_string()
}

fn attribute(config: &Config, key: &'static str) -> String {
    let value = config.resource.get(&key.into());
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[test]
fn without_variables_it_is_as_the_specification_has_it_but_for_ratio_and_queues() {
    let config = read(&[]);
    assert_eq!(
        uri(config.traces.as_ref()),
        "http://localhost:4318/v1/traces"
    );
    assert_eq!(uri(config.logs.as_ref()), "http://localhost:4318/v1/logs");
    assert_eq!(
        uri(config.metrics.as_ref()),
        "http://localhost:4318/v1/metrics"
    );
    assert_eq!(config.traces.unwrap().timeout, Duration::from_secs(10));
    let capacities = (config.spans.capacity, config.records.capacity);
    assert_eq!(capacities, (16_384, 8_192));
    assert_eq!(config.spans.delay, Duration::from_secs(5));
    assert_eq!(config.records.delay, Duration::from_secs(1));
    assert_eq!(config.pushes.delay, Duration::from_secs(60));
    let sampling = config.sampling;
    assert!(sampling.parent_based);
    assert!((sampling.ratio - 0.01).abs() < f64::EPSILON);
    let both = [Propagator::TraceContext, Propagator::Baggage];
    assert_eq!(config.propagators, both);
}

#[test]
fn grpc_is_spoken_where_it_is_asked_for_or_the_port_says_so() {
    let service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    for (variables, host) in [
        (
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")][..],
            "localhost:4317",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")],
            "c:4317",
        ),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317/")], "c:4317"),
    ] {
        let config = read(variables);
        let target = config.traces.unwrap();
        assert_eq!(target.protocol, Protocol::Grpc);
        assert_eq!(target.uri.to_string(), format!("http://{host}{service}"));
    }
    let told = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ]);
    assert_eq!(uri(told.traces.as_ref()), "http://c:4317/v1/traces");
}

#[test]
fn the_address_of_all_is_a_base_and_that_of_a_signal_is_whole() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:9/base/"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://d:9/else"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "e:9"),
    ]);
    assert_eq!(uri(config.traces.as_ref()), "http://c:9/base/v1/traces");
    assert_eq!(uri(config.logs.as_ref()), "http://d:9/else");
    let metrics = config.metrics.unwrap();
    assert_eq!(metrics.protocol, Protocol::Grpc);
    assert_eq!(metrics.uri.authority().unwrap(), "e:9");
}

#[test]
fn what_the_code_says_beats_the_variables() {
    let given = Given {
        endpoint: Some("c:9".to_owned()),
        protocol: Some(Protocol::Http),
        timeout: Some(Duration::from_secs(1)),
        gzip: Some(true),
        ratio: Some(0.5),
        headers: vec![("k".to_owned(), "code".to_owned())],
        ..flights()
    };
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "d:9"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "k=all,only=all"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    let config = read_as(&given, &variables).unwrap();
    let target = config.traces.unwrap();
    assert_eq!(target.uri, "http://c:9/v1/traces");
    assert_eq!(target.timeout, Duration::from_secs(1));
    assert!(target.gzip);
    assert_eq!(
        (&target.headers["k"], &target.headers["only"]),
        (
            &http::HeaderValue::from_static("code"),
            &http::HeaderValue::from_static("all"),
        )
    );
    assert!((config.sampling.ratio - 0.5).abs() < f64::EPSILON);
}

#[test]
fn the_headers_of_a_signal_come_on_top_of_those_of_all_and_are_decoded() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1, b=2"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=Basic%20x%3D"),
    ]);
    let headers = config.traces.unwrap().headers;
    assert_eq!(
        (&headers["a"], &headers["b"]),
        (&"1".parse().unwrap(), &"Basic x=".parse().unwrap())
    );
    assert_eq!(config.logs.unwrap().headers["b"], "2");
}

#[test]
fn keys_in_headers_are_never_shown() {
    let bad = problems(&flights(), &[("OTEL_EXPORTER_OTLP_HEADERS", "secret")]);
    assert!(!format!("{bad:?}").contains("secret"));
    let config = read(&[("OTEL_EXPORTER_OTLP_HEADERS", "k=secret")]);
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn samplers_are_read() {
    for (name, arg, ratio, parent_based) in [
        ("always_on", "", 1.0, false),
        ("always_off", "", 0.0, false),
        ("traceidratio", "0.25", 0.25, false),
        ("parentbased_always_on", "", 1.0, true),
        ("parentbased_always_off", "0.5", 0.0, true),
        ("parentbased_traceidratio", "0.1", 0.1, true),
        ("parentbased_traceidratio", "", 1.0, true),
    ] {
        let config = read(&[
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", arg),
        ]);
        let expected = Sampling {
            ratio,
            parent_based,
        };
        assert_eq!(config.sampling, expected, "{name}");
    }
}

#[test]
fn signals_and_all_of_it_can_be_switched_off() {
    let config = read(&[("OTEL_LOGS_EXPORTER", "none")]);
    assert!(config.logs.is_none() && config.traces.is_some());
    assert!(read(&[("OTEL_SDK_DISABLED", "TRUE")]).is_off());
    assert!(!read(&[("OTEL_SDK_DISABLED", "false")]).is_off());
}

#[test]
fn queues_and_intervals_are_read() {
    let config = read(&[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "7"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "9"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "8"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "6"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "5"),
    ]);
    let spans = (config.spans.capacity, config.spans.batch);
    assert_eq!(spans, (100, 100), "a batch is no larger than the queue");
    assert_eq!(config.spans.delay, Duration::from_millis(7));
    assert_eq!(config.records.batch, 9);
    assert_eq!(config.records.timeout, Duration::from_millis(8));
    let pushes = (config.pushes.delay, config.pushes.timeout);
    assert_eq!(pushes, (Duration::from_millis(6), Duration::from_millis(5)));
}

#[test]
fn the_service_is_named_by_whoever_runs_it_or_else_by_the_code() {
    let name = |variables: &[_]| attribute(&read(variables), "service.name");
    let attributes = (
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.name=b,deployment=x%20y",
    );
    assert_eq!(name(&[]), "flights");
    assert_eq!(name(&[attributes]), "b");
    assert_eq!(name(&[attributes, ("OTEL_SERVICE_NAME", "c")]), "c");
    assert_eq!(attribute(&read(&[attributes]), "deployment"), "x y");
    assert_eq!(attribute(&read(&[]), "telemetry.sdk.language"), "rust");
}

#[test]
fn each_process_is_an_instance_of_its_own() {
    let id = |config: &Config| attribute(config, "service.instance.id");
    let (one, other) = (id(&read(&[])), id(&read(&[])));
    assert_ne!(one, other);
    assert_eq!((one.len(), one.as_bytes()[14]), (36, b'4'));
    let told = read(&[("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=7")]);
    assert_eq!(id(&told), "7");
}

#[test]
fn propagators_are_read_and_unknown_ones_are_named() {
    let config = read(&[("OTEL_PROPAGATORS", "tracecontext,b3,tracecontext")]);
    assert_eq!(config.propagators, [Propagator::TraceContext]);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("b3"));
    assert!(read(&[("OTEL_PROPAGATORS", "none")]).propagators.is_empty());
}

#[test]
fn all_problems_are_told_at_once_with_variable_value_and_what_it_must_be() {
    let variables = [
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[oops"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_RESOURCE_ATTRIBUTES", "no equals sign"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "-1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
        ("RUST_LOG", "a=b=c"),
    ];
    let given = Given {
        ratio: Some(f64::NAN),
        interval: Some(Duration::ZERO),
        ..flights()
    };
    let problems = problems(&given, &variables);
    let text = SetupError::Invalid {
        problems: problems.clone(),
    };
    let text = text.to_string();
    for (name, value) in variables {
        let told = problems.iter().find(|problem| problem.name == name);
        let told = told.unwrap_or_else(|| panic!("{name} is missing in {text}"));
        assert_eq!(told.value, value);
        assert!(!told.expected.is_empty());
    }
    assert!(text.contains("Setup::ratio is `NaN` but must be a number from 0 to 1"));
    assert!(text.contains("Setup::interval is `0` but must be a duration above 0"));
    assert!(text.contains("OTEL_BSP_MAX_QUEUE_SIZE is `0` but must be a whole number above 0"));
}

#[test]
fn a_problem_that_all_signals_have_is_told_once() {
    let problems = problems(&flights(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")]);
    assert_eq!(problems.len(), 1);
}

#[test]
#[cfg(not(feature = "otlp-tls"))]
fn tls_names_the_feature_that_it_needs() {
    let problems = problems(&flights(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c")]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].expected.contains("`otlp-tls`"));
}

#[test]
#[cfg(feature = "otlp-tls")]
fn tls_is_spoken_where_the_address_says_so() {
    let config = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c")]);
    assert_eq!(uri(config.traces.as_ref()), "https://c/v1/traces");
}
