//! The servers that other tests start do what those tests rely on.
//!
//! `cargo xtask services` puts in place what is needed here.

#[path = "shared_servers/documents.rs"]
mod documents;
#[path = "shared_servers/jaeger.rs"]
mod jaeger;
#[path = "shared_servers/otlp.rs"]
mod otlp;
#[path = "shared_servers/prometheus.rs"]
mod prometheus;

use std::time::Duration;

/// For what is certain to come.
const PATIENCE: Duration = Duration::from_secs(20);
