//! The server goes away and comes back.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use towpath_policy::{DedupStoreFailed, find};

use crate::{
    rig::{SOON, call, dedup, is_duplicate, process},
    server::Server,
};

#[tokio::test]
async fn while_the_server_is_down_calls_fail_and_none_is_made() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let service = process(dedup(&server.url()), |n| async move { Ok(n) });
    assert!(call(&service, 1).await.is_ok());
    server.kill();
    for n in 10..20 {
        let error = call(&service, n).await.unwrap_err();
        assert!(find::<DedupStoreFailed>(error.as_ref()).is_some());
    }
    assert!(is_duplicate(&call(&service, 1).await), "that is known here");
    server.restart();
    let recovers = async {
        while call(&service, 10).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, recovers).await.expect("it asks again");
}

#[tokio::test]
async fn while_the_server_is_down_those_that_fail_open_are_made_once_in_each_process() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let processes: Vec<_> = (0..2)
        .map(|_| process(dedup(&server.url()).fail_open(), |n| async move { Ok(n) }))
        .collect();
    server.kill();
    for service in &processes {
        assert!(call(service, 7).await.is_ok());
        assert!(is_duplicate(&call(service, 7).await));
    }
}
