//! Whether pipelines are well, with reasons; and a small server that says so.
//!
//! [`Checks`] look at a [`Status`](towpath_core::Status) and find what ails it; they need no
//! server. With the feature `http`, a [`Server`] answers probes, scrapes and people.
#![cfg_attr(
    feature = "http",
    doc = "
```
use towpath_telemetry::{Monitor, health::Server};

# #[tokio::main(flavor = \"current_thread\")]
# async fn main() -> std::io::Result<()> {
let monitor = Monitor::new();
// .. `pipeline.telemetry(monitor.clone())` ..
let server = Server::new(monitor).address(([127, 0, 0, 1], 0)).bind().await?;
println!(\"http://{}/readyz\", server.local_addr());
let running = server.start();
// .. the pipelines run ..
running.stop().await;
# Ok(())
# }
```"
)]

mod checks;
#[cfg(feature = "http")]
mod connections;
#[cfg(feature = "http")]
mod guard;
#[cfg(feature = "http")]
mod routes;
#[cfg(feature = "http")]
mod server;
mod stall;

pub use checks::{Ailment, Checks, Finding, Health, Level};
#[cfg(feature = "http")]
pub use routes::router;
#[cfg(feature = "http")]
pub use server::{Bound, Running, Server, Stopped};
pub use stall::Stalls;
