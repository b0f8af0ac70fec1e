//! A Prometheus that scrapes the health server of a monitor.

use std::path::Path;

use tokio::task::block_in_place;
use towpath_telemetry::{
    Monitor,
    health::{Running, Server},
};
use towpath_test_servers::{Prometheus, Sample, http, or_not_run};

use crate::PATIENCE;

pub(crate) struct Watch {
    prometheus: Prometheus,
    server: Running,
}

impl Watch {
    /// `None` where the tests are told to do without.
    pub(crate) async fn begin(monitor: &Monitor, rules: &[&Path]) -> Option<Self> {
        let server = Server::new(monitor.clone()).address(([127, 0, 0, 1], 0));
        let server = server.bind().await.unwrap().start();
        let target = server.local_addr().to_string();
        let started = block_in_place(|| Prometheus::start(&[&target], rules));
        let prometheus = or_not_run(started)?;
        Some(Self { prometheus, server })
    }

    /// Where the metrics are.
    pub(crate) fn target(&self) -> String {
        self.server.local_addr().to_string()
    }

    /// The text of `/metrics`, as anybody gets it.
    pub(crate) fn page(&self) -> String {
        let url = format!("http://{}/metrics", self.target());
        let answer = block_in_place(|| http::get(&url)).unwrap();
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// What the expression says now.
    pub(crate) fn ask(&self, query: &str) -> Vec<Sample> {
        block_in_place(|| self.prometheus.query(query)).unwrap()
    }

    /// Waits until the expression has the one value; fails with what it says otherwise.
    #[track_caller]
    pub(crate) fn becomes(&self, query: &str, value: f64) {
        let is = |samples: &[Sample]| matches!(samples, [one] if same(one.value, value));
        self.until(query, is);
    }

    /// Waits until what the expression says is as wanted.
    #[track_caller]
    pub(crate) fn until(&self, query: &str, wanted: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
        let asked = block_in_place(|| self.prometheus.await_query(query, &wanted, PATIENCE));
        let samples = asked.unwrap();
        assert!(wanted(&samples), "{query} is {samples:#?}");
        samples
    }

    /// The one value that the expression has, once it has one: after a scrape that came too
    /// late it has none for a moment.
    #[track_caller]
    pub(crate) fn value(&self, query: &str) -> f64 {
        self.until(query, |samples| samples.len() == 1)[0].value
    }

    /// Of what its API answers, the field `data`.
    pub(crate) fn data(&self, path: &str) -> serde_json::Value {
        block_in_place(|| self.prometheus.data(path)).unwrap()
    }

    pub(crate) async fn end(self) {
        self.server.stop().await;
        block_in_place(|| drop(self.prometheus));
    }
}

/// Whole numbers come back as they were.
pub(crate) fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < f64::EPSILON
}
