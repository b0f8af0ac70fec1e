//! A process that holds a claim is killed.

use std::{
    env,
    process::{Command, Stdio},
    time::Duration,
};

use redis::Commands;
use tokio::time::{Instant, sleep};

use crate::{
    rig::{SOON, call, dedup, process},
    server::Server,
};

/// Set for a process that claims and hangs in place of running the test.
const SERVER: &str = "TOWPATH_TEST_SHARED_DEDUP";
/// Longer than a busy machine stands still.
const LEASE: Duration = Duration::from_secs(5);
const KEY: &str = r#"towpath:dedup:"orders":7"#;

#[tokio::test]
async fn the_claim_of_a_process_that_was_killed_is_free_when_its_lease_is_over() {
    if let Ok(url) = env::var(SERVER) {
        return hang(&url).await;
    }
    let Some(server) = Server::start() else {
        return;
    };
    let test = "crash::the_claim_of_a_process_that_was_killed_is_free_when_its_lease_is_over";
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test])
        .env(SERVER, server.url())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while server.connection().exists::<_, u32>(KEY).unwrap() == 0 {
        assert!(start.elapsed() < SOON, "the other process claims the key");
        sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    let left: u64 = server.connection().pttl(KEY).unwrap();
    let here = process(dedup(&server.url()).lease(LEASE), |n| async move { Ok(n) });
    assert_eq!(call(&here, 7).await.unwrap(), 7);
    let waited = killed.elapsed();
    assert!(waited + Duration::from_millis(50) >= Duration::from_millis(left));
    assert!(waited < LEASE + SOON / 2, "{waited:?}");
}

async fn hang(url: &str) {
    let service = process(dedup(url).lease(LEASE), |_| std::future::pending());
    drop(call(&service, 7).await);
}
