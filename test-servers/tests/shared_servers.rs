//! The servers that other tests start do what those tests rely on.
//!
//! `cargo xtask services` puts in place what is needed here.

#[path = "shared_servers/documents.rs"]
mod documents;
#[path = "shared_servers/jaeger.rs"]
mod jaeger;
#[path = "shared_servers/kafka.rs"]
mod kafka;
#[path = "shared_servers/killed.rs"]
mod killed;
#[path = "shared_servers/nats.rs"]
mod nats;
#[path = "shared_servers/otlp.rs"]
mod otlp;
#[path = "shared_servers/postgres.rs"]
mod postgres;
#[path = "shared_servers/prometheus.rs"]
mod prometheus;
#[path = "shared_servers/proxy.rs"]
mod proxy;
#[path = "shared_servers/redis.rs"]
mod redis;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For what is certain to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// For what must not come.
const SHORT: Duration = Duration::from_millis(200);

/// Whether somebody listens there.
fn is_there(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}
