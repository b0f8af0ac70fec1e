//! Dashboard and alerts ask for metrics that there are.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;
use towpath_telemetry::metrics::{Kind, catalog};

fn file(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/observability");
    fs::read_to_string(folder.join(name)).expect("the file is there")
}

fn dashboard() -> Value {
    serde_json::from_str(&file("dashboard.json")).expect("the dashboard is JSON")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Each panel that shows something.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = list(&dashboard["panels"]);
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// What each panel asks for.
fn queries(dashboard: &Value) -> Vec<&str> {
    let targets = panels(dashboard)
        .into_iter()
        .flat_map(|p| list(&p["targets"]));
    targets
        .map(|target| target["expr"].as_str().unwrap_or_default())
        .collect()
}

/// All series that Prometheus has.
fn series() -> BTreeSet<String> {
    let names = catalog::ALL.iter().flat_map(|metric| {
        let name = metric.prometheus_name();
        let parts: &[&str] = match metric.kind {
            Kind::Histogram(_) => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        parts.iter().map(move |part| format!("{name}{part}"))
    });
    names.collect()
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("towpath_")).collect()
}

fn assert_known(text: &str) {
    let known = series();
    let unknown: Vec<_> = named(text)
        .into_iter()
        .filter(|name| !known.contains(*name))
        .collect();
    assert!(unknown.is_empty(), "not in the catalog: {unknown:?}");
}

#[test]
fn the_dashboard_asks_for_metrics_of_the_catalog() {
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    assert!(queries.len() > 40, "{}", queries.len());
    for query in queries {
        assert!(!query.is_empty());
        assert_known(query);
    }
    let variables = dashboard["templating"]["list"].to_string();
    assert!(!named(&variables).is_empty());
    assert_known(&variables);
}

#[test]
fn the_alerts_ask_for_metrics_of_the_catalog() {
    let alerts = file("alerts.yml");
    assert!(named(&alerts).len() > 12, "{:?}", named(&alerts));
    assert_known(&alerts);
    assert_known(&file("alerts_test.yml"));
}

#[test]
fn each_panel_has_a_unit_a_description_and_the_data_source_that_was_chosen() {
    for panel in panels(&dashboard()) {
        let title = &panel["title"];
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(
            unit.is_some_and(|unit| !unit.is_empty()),
            "{title} has no unit"
        );
        let description = panel["description"].as_str();
        assert!(
            description.is_some_and(|text| text.ends_with('.')),
            "{title} has no description"
        );
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
    }
}

#[test]
fn figures_of_pipelines_are_those_of_the_pipelines_that_were_chosen() {
    let of_the_process = ["towpath_tokio_", "towpath_telemetry_"];
    for query in queries(&dashboard()) {
        let all = named(query);
        let chosen = query.matches("pipeline=~\"$pipeline\"").count();
        let own = all
            .iter()
            .all(|name| of_the_process.iter().any(|of| name.starts_with(of)));
        assert!(own || chosen >= all.len(), "{query}");
    }
}

#[test]
fn no_two_panels_have_the_same_place_or_number() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(numbers.len(), panels.len());
    let mut places = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(
                    places.insert((x, y)),
                    "{} covers another panel",
                    panel["title"]
                );
            }
        }
    }
}
