//! JetStream sources and sinks against a NATS server of their own, beyond the rules that hold
//! for all connectors.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "shared_nats/away.rs"]
mod away;
#[path = "shared_nats/driver.rs"]
mod driver;
#[path = "shared_nats/lanes.rs"]
mod lanes;
#[path = "shared_nats/logins.rs"]
mod logins;
#[path = "shared_nats/publishing.rs"]
mod publishing;
#[path = "shared_nats/pulling.rs"]
mod pulling;
#[path = "shared_nats/server.rs"]
mod server;
#[path = "shared_nats/settings.rs"]
mod settings;
#[path = "shared_nats/settling.rs"]
mod settling;
