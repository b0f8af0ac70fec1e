//! Prometheus's own program reads the files that we give to users.

use std::path::Path;

use towpath_test_servers::{or_not_run, promtool};

fn check(what: &str, file: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("docs/observability").join(file);
    let args = ["check", what, &path.display().to_string()];
    if let Some(checked) = or_not_run(promtool(&args, "")) {
        assert!(checked.is_good, "{}", checked.said);
        assert!(checked.said.contains("SUCCESS"), "{}", checked.said);
    }
}

#[test]
fn the_alert_rules_are_rules() {
    check("rules", "alerts.yml");
}

#[test]
fn the_configuration_is_one_and_finds_its_rules() {
    check("config", "prometheus.yml");
}
