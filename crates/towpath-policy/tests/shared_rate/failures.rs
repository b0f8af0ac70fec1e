//! The server goes away and comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use redis::Commands;
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use towpath_policy::{
    BoxError, Decision, Policies, Quota, Rate, RateLimit, RateLimited, RateRequest, RateStore, find,
};

use crate::server::Server;

const SOON: Duration = Duration::from_secs(20);

/// A limit that is far away as long as the budget is not that of one process.
fn limit(server: &Server) -> RateLimit {
    let store = server.store().pause(Duration::from_millis(20));
    let hourly = Rate::new(1, Duration::from_secs(3600));
    RateLimit::new(hourly)
        .burst(1000)
        .shared(Arc::new(store), "api")
}

fn service(
    limit: RateLimit,
) -> impl Service<u32, Response = u32, Error = BoxError, Future: Send> + Clone {
    let layer = Policies::new().rate_limit(limit).build().unwrap();
    layer.layer(service_fn(|n: u32| async move { Ok::<_, Infallible>(n) }))
}

async fn call<S>(service: &S) -> Result<u32, BoxError>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    service.clone().oneshot(7).await
}

/// What was taken from the budget in the server.
fn taken(server: &Server) -> u128 {
    let budget: Option<String> = server.connection().get("towpath:rate:\"api\"").unwrap();
    budget.map_or(0, |budget| {
        let mut parts = budget
            .split(':')
            .skip(1)
            .map(|part| part.parse::<u128>().unwrap());
        let (owed, token) = (parts.next().unwrap(), parts.next().unwrap());
        owed.div_ceil(token)
    })
}

/// Calls until the server is asked again.
async fn assert_recovers<S>(service: &S, server: &Server)
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let recovers = async {
        while taken(server) == 0 {
            drop(call(service).await);
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, recovers)
        .await
        .expect("it asks the server again");
    assert_eq!(call(service).await.unwrap(), 7);
}

#[tokio::test]
async fn while_the_server_is_down_a_limit_that_fails_closed_rejects_every_call() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let service = service(limit(&server).rejecting().fail_closed());
    assert_eq!(call(&service).await.unwrap(), 7);
    server.kill();
    for _ in 0..50 {
        let error = call(&service).await.unwrap_err();
        assert_eq!(
            find::<RateLimited>(&*error),
            Some(&RateLimited::StoreFailed)
        );
    }
    server.restart();
    assert_recovers(&service, &server).await;
}

#[tokio::test]
async fn while_the_server_is_down_calls_of_a_limit_that_fails_closed_wait_for_it() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let service = service(limit(&server).waiting().fail_closed());
    assert_eq!(call(&service).await.unwrap(), 7);
    server.kill();
    let mut waiting = Box::pin(call(&service));
    assert!(
        timeout(Duration::from_millis(300), &mut waiting)
            .await
            .is_err()
    );
    server.restart();
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap(), 7);
    assert_eq!(taken(&server), 1);
}

#[tokio::test]
async fn while_the_server_is_down_a_limit_that_fails_open_is_kept_by_the_process() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let service = service(limit(&server).burst(20).rejecting().fail_open());
    assert_eq!(call(&service).await.unwrap(), 7);
    server.kill();
    for _ in 0..20 {
        assert_eq!(call(&service).await.unwrap(), 7);
    }
    let error = call(&service).await.unwrap_err();
    let limited = find::<RateLimited>(&*error).unwrap();
    assert!(
        matches!(limited, RateLimited::NoBudget { .. }),
        "{limited:?}"
    );
    server.restart();
    assert_recovers(&service, &server).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_noticed() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let limit = Duration::from_millis(100);
    let store = towpath_policy::RedisStore::new(url).unwrap().timeout(limit);
    let request = RateRequest::new("api", Quota::new(Rate::per_second(1), 1));
    let asked = timeout(SOON, store.acquire(request)).await.unwrap();
    assert!(asked.is_err(), "{asked:?}");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_anew() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store().pause(Duration::from_millis(1));
    let request = RateRequest::new("api", Quota::new(Rate::per_second(1000), 1000));
    for _ in 0..5 {
        let recovers = async {
            while !matches!(store.acquire(request.clone()).await, Ok(Decision::Admitted)) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, recovers).await.expect("it connects again");
        let mut connection = server.connection();
        let kill = redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
            .to_owned();
        assert!(kill.query::<u32>(&mut connection).unwrap() >= 1);
    }
}
