//! The example `outbox` as a user meets it, and killed over and over.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use towpath_test_servers::{Postgres, or_not_run};

/// Cargo builds examples beside the tests, but tells the tests no path to them.
fn executable() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let name = format!("outbox{}", std::env::consts::EXE_SUFFIX);
    let path = target.join("examples").join(name);
    let build = "build it first: cargo build -p towpath-postgres --example outbox";
    assert!(path.exists(), "{build}");
    path
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(executable());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn the_outbox_ships_each_order_once_although_it_is_killed_over_and_over() {
    let Some(server) = or_not_run(Postgres::start()) else {
        return;
    };
    let url = server.url();
    for killed_after in [150, 300, 450, 600] {
        let mut child = Command::new(executable())
            .args([url.as_str(), "400"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Wherever it is by then.
        std::thread::sleep(Duration::from_millis(killed_after));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'towpath'";
    while server.psql(open) != "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    // What the killed ones had is theirs until their leases run out: do not wait for that. Where
    // all were killed before they came to make the table, there is none.
    server.psql(
        "DO $$BEGIN IF to_regclass('example_outbox') IS NOT NULL THEN \
         UPDATE example_outbox SET lease_until = now() WHERE lease_until IS NOT NULL; \
         END IF; END$$",
    );
    let output = run(&[&url, "50"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let orders = server.psql("SELECT count(*) FROM example_orders");
    let all = format!("{orders} orders, {orders} shipments of {orders} orders");
    assert!(said.contains(&all), "{said}");
    assert_eq!(server.psql("SELECT count(*) FROM example_outbox"), "0");
}

#[test]
fn the_outbox_says_what_is_wrong_and_not_the_password() {
    let output = run(&["postgres://me:hush@127.0.0.1:1/shop"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("127.0.0.1:1/shop") && !said.contains("hush"),
        "{said}"
    );
    for arguments in [
        &[][..],
        &["--help"],
        &["postgres://h", "many"],
        &["a", "1", "2"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = run(&["no address with hush in it"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("server.url") && !said.contains("hush"),
        "{said}"
    );
}
