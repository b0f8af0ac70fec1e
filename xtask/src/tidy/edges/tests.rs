//! Tests of the rule about dependency edges.

use super::*;

/// A workspace in which `from` depends on the others, which are all members.
fn edges(from: &str, to: &[&str]) -> Workspace {
    let declared = to.iter().map(|name| Dependency::normal(name)).collect();
    let workspace = Workspace::default().with_package(from, &format!("crates/{from}"), declared);
    to.iter().fold(workspace, |workspace, name| {
        workspace.with_package(name, &format!("crates/{name}"), Vec::new())
    })
}

/// A workspace of one crate with one dependency from elsewhere.
fn external(from: &str, dependency: Dependency) -> Workspace {
    Workspace::default().with_package(from, &format!("crates/{from}"), vec![dependency])
}

fn messages(workspace: &Workspace) -> Vec<String> {
    check(workspace)
        .into_iter()
        .map(|violation| violation.message)
        .collect()
}

#[test]
fn each_layer_may_use_what_the_table_lists() {
    assert_eq!(
        check(&edges("towpath-batcher", &["towpath-core", "towpath-link"])),
        []
    );
    assert_eq!(
        check(&edges(
            "towpath-test",
            &["towpath-runtime", "towpath-telemetry", "towpath"]
        )),
        []
    );
    assert_eq!(
        check(&edges("towpath", &["towpath-runtime", "towpath-kafka"])),
        []
    );
}

#[test]
fn stages_never_use_each_other() {
    let found = messages(&edges(
        "towpath-processor",
        &["towpath-core", "towpath-producer"],
    ));
    assert_eq!(
        found,
        ["`towpath-processor` may not depend on `towpath-producer`, \
          only on towpath-core, towpath-link, towpath-policy"]
    );
}

#[test]
fn only_the_processor_among_the_stages_uses_the_policies() {
    let uses = ["towpath-policy"];
    assert_eq!(check(&edges("towpath-processor", &uses)), []);
    for other in ["towpath-producer", "towpath-batcher", "towpath-runtime"] {
        assert_eq!(check(&edges(other, &uses)).len(), 1, "{other}");
    }
}

#[test]
fn the_lowest_crates_use_none_of_ours() {
    for lowest in ["towpath-link", "towpath-policy", "xtask"] {
        assert_eq!(
            check(&edges(lowest, &["towpath-core"])).len(),
            1,
            "{lowest}"
        );
    }
    assert_eq!(check(&edges("towpath-core", &["towpath-link"])).len(), 1);
}

#[test]
fn a_connector_uses_the_core_alone() {
    assert_eq!(check(&edges("towpath-kafka", &["towpath-core"])), []);
    assert_eq!(
        check(&edges("towpath-kafka", &["towpath-runtime"])).len(),
        1
    );
    assert_eq!(check(&edges("towpath-kafka", &["towpath"])).len(), 1);
}

#[test]
fn the_facade_uses_published_crates_alone() {
    let workspace = Workspace::default()
        .with_package(
            "towpath",
            "crates/towpath",
            vec![Dependency::normal("xtask")],
        )
        .with_package("xtask", "xtask", Vec::new());
    assert_eq!(
        messages(&workspace),
        ["`towpath` may not depend on `xtask`, which is not published"]
    );
}

#[test]
fn examples_and_benches_use_anything() {
    let uses = vec![Dependency::normal("towpath-link")];
    let workspace = Workspace::default()
        .with_package("towpath-benches", "benches", uses)
        .with_package("towpath-link", "crates/towpath-link", Vec::new());
    assert_eq!(check(&workspace), []);
}

#[test]
fn dependencies_for_tests_are_free_and_those_of_build_scripts_are_not() {
    let of_kind = |kind| {
        let dependency = Dependency {
            kind,
            ..Dependency::normal("tokio")
        };
        check(&external("towpath-core", dependency)).len()
    };
    assert_eq!((of_kind(Kind::Dev), of_kind(Kind::Build)), (0, 1));
}

#[test]
fn the_test_servers_use_none_of_ours_and_xtask_uses_them() {
    assert_eq!(check(&edges("xtask", &["towpath-test-servers"])), []);
    assert_eq!(
        check(&edges("towpath-test-servers", &["towpath-core"])).len(),
        1
    );
    assert_eq!(
        check(&edges("towpath-telemetry", &["towpath-test-servers"])).len(),
        1
    );
}

#[test]
fn the_telemetry_crate_alone_names_opentelemetry() {
    let named = |from: &str, to: &str| messages(&external(from, Dependency::normal(to)));
    for name in [
        "opentelemetry",
        "opentelemetry_sdk",
        "tracing-opentelemetry",
    ] {
        assert_eq!(named("towpath-telemetry", name), [""; 0]);
        for other in [
            "towpath",
            "towpath-core",
            "towpath-runtime",
            "towpath-kafka",
        ] {
            assert_eq!(
                named(other, name),
                [format!(
                    "`{other}` may not depend on `{name}`, only towpath-telemetry may"
                )]
            );
        }
    }
    assert_eq!(named("towpath-runtime", "tracing"), [""; 0]);
}

#[test]
fn the_core_knows_no_runtime_and_no_tower() {
    for name in ["tokio", "tokio-stream", "tower", "tower-service"] {
        assert_eq!(
            check(&external("towpath-core", Dependency::normal(name))).len(),
            1,
            "{name}"
        );
    }
    assert_eq!(
        check(&external("towpath-core", Dependency::normal("bytes"))),
        []
    );
    assert_eq!(
        check(&external("towpath-runtime", Dependency::normal("tokio"))),
        []
    );
}

#[test]
fn the_link_uses_channels_wakers_futures_and_the_model_checker_under_its_cfg() {
    let shuttle = |target: Option<&str>| Dependency {
        target: target.map(str::to_owned),
        ..Dependency::normal("shuttle")
    };
    assert_eq!(
        check(&external(
            "towpath-link",
            Dependency::normal("async-channel")
        )),
        []
    );
    assert_eq!(
        check(&external(
            "towpath-link",
            Dependency::normal("futures-core")
        )),
        []
    );
    assert_eq!(
        check(&external("towpath-link", shuttle(Some("cfg(shuttle)")))),
        []
    );
    assert_eq!(check(&external("towpath-link", shuttle(None))).len(), 1);
    assert_eq!(
        check(&external("towpath-link", Dependency::normal("tokio"))).len(),
        1
    );
}

#[test]
fn a_violation_points_at_the_line_of_the_manifest() {
    let manifest = "[package]\n\n[dependencies]\ntokio-stream = \"1\"\ntokio.workspace = true\n";
    let workspace = Workspace::of_files(&[("crates/towpath-core/Cargo.toml", manifest)])
        .with_package(
            "towpath-core",
            "crates/towpath-core",
            vec![Dependency::normal("tokio")],
        );
    assert_eq!(
        check(&workspace),
        [Violation::new(
            "crates/towpath-core/Cargo.toml",
            5,
            "`towpath-core` may not depend on `tokio`"
        )]
    );
}
