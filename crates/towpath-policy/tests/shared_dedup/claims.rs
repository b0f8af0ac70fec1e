//! Who may make a call, and who learns that it was made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use redis::Commands;
use tokio::{sync::Notify, time::sleep};
use tower::{Service, ServiceExt};
use towpath_policy::{
    BoxError, DedupStore, RedisDedupStore,
    dedup::{Claim, Claimed},
};

use crate::{
    rig::{call, dedup, is_duplicate, process},
    server::{ANSWERS, Server},
};

const KEY: &str = r#"towpath:dedup:"orders":7"#;

#[tokio::test]
async fn each_key_is_called_once_however_many_processes_get_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let calls: Arc<Vec<AtomicU32>> = Arc::new((0..100).map(|_| AtomicU32::new(0)).collect());
    let work = |n: u64| {
        let calls = calls.clone();
        async move {
            calls[usize::try_from(n).unwrap()].fetch_add(1, Relaxed);
            sleep(Duration::from_millis(n % 3)).await;
            Ok(n)
        }
    };
    let processes: Vec<_> = (0..4)
        .map(|_| process(dedup(&server.url()), work))
        .collect();
    let deliveries = (0..100).flat_map(|n| processes.iter().map(move |process| (process, n)));
    let results: Vec<_> = stream::iter(deliveries)
        .map(|(process, n)| call(process, n))
        .buffer_unordered(50)
        .collect()
        .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 100);
    assert_eq!(results.iter().filter(|r| is_duplicate(r)).count(), 300);
    assert!(calls.iter().all(|calls| calls.load(Relaxed) == 1));
}

#[tokio::test]
async fn a_call_that_failed_is_made_by_another_process_at_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let fails = |_| async { Err::<u64, BoxError>("no".into()) };
    let failing = process(dedup(&server.url()), fails);
    let working = process(dedup(&server.url()), |n| async move { Ok(n) });
    assert!(call(&failing, 7).await.is_err());
    assert_eq!(server.connection().exists::<_, u32>(KEY).unwrap(), 0);
    assert_eq!(call(&working, 7).await.unwrap(), 7);
    assert!(is_duplicate(&call(&failing, 7).await));
}

#[tokio::test]
async fn a_dropped_call_is_taken_over_at_once_in_the_same_process() {
    let Some(server) = Server::start() else {
        return;
    };
    let (begun, calls) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
    let work = |n| {
        let is_first = calls.fetch_add(1, Relaxed) == 0;
        let begun = begun.clone();
        async move {
            if is_first {
                begun.notify_one();
                std::future::pending::<()>().await;
            }
            Ok(n)
        }
    };
    let mut service = process(dedup(&server.url()), work);
    let hanging = service.ready().await.unwrap().call(7);
    tokio::select! {
        _ = hanging => unreachable!("it hangs"),
        () = begun.notified() => {}
    }
    let held: String = server.connection().get(KEY).unwrap();
    assert_ne!(held, "done", "the claim is left behind");
    assert_eq!(call(&service, 7).await.unwrap(), 7);
}

#[tokio::test]
async fn a_call_that_takes_longer_than_its_lease_keeps_its_claim() {
    let Some(server) = Server::start() else {
        return;
    };
    // Longer than a busy machine stands still, with a third of it gone already.
    let lease = Duration::from_secs(4);
    let calls = Arc::new(AtomicU32::new(0));
    let work = |n| {
        let calls = calls.clone();
        async move {
            calls.fetch_add(1, Relaxed);
            sleep(2 * lease).await;
            Ok(n)
        }
    };
    let one = process(dedup(&server.url()).lease(lease), work);
    let two = process(dedup(&server.url()).lease(lease), work);
    let (one, two) = tokio::join!(call(&one, 7), call(&two, 7));
    assert_eq!(calls.load(Relaxed), 1);
    assert!(one.is_ok() != two.is_ok());
    assert!(is_duplicate(&one) != is_duplicate(&two));
}

#[tokio::test]
async fn a_key_is_remembered_for_its_time_to_live_by_the_clock_of_the_server() {
    let Some(server) = Server::start() else {
        return;
    };
    let ttl = Duration::from_secs(600);
    let one = process(dedup(&server.url()).ttl(ttl), |n| async move { Ok(n) });
    assert!(call(&one, 7).await.is_ok());
    let left: u64 = server.connection().pttl(KEY).unwrap();
    assert!((590_000..=600_000).contains(&left), "{left}");
    let two = process(dedup(&server.url()), |n| async move { Ok(n) });
    assert!(is_duplicate(&call(&two, 7).await));
    assert!(server.connection().del::<_, bool>(KEY).unwrap());
    assert!(
        call(&two, 7).await.is_ok(),
        "it is the server that remembers"
    );
}

#[tokio::test]
async fn a_message_that_is_delivered_again_claims_a_key_that_is_done_but_none_that_is_held() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisDedupStore::new(server.url().as_str()).unwrap();
    let store = store.timeout(ANSWERS);
    let (lease, ttl) = (Duration::from_secs(30), Duration::from_secs(600));
    let claim = |owner| Claim::new("orders", 7_u64, owner, 1);
    store.complete(claim(1), ttl).await.unwrap();
    let claimed = store.claim(claim(2), lease).await.unwrap();
    assert_eq!(claimed, Claimed::Done);
    let claimed = store.claim(claim(2).again(true), lease).await.unwrap();
    assert_eq!(claimed, Claimed::Yes);
    let claimed = store.claim(claim(3).again(true), lease).await.unwrap();
    assert!(matches!(claimed, Claimed::Held(left) if left <= lease));
    store.release(claim(2)).await.unwrap();
    assert_eq!(server.connection().exists::<_, u32>(KEY).unwrap(), 0);
}
