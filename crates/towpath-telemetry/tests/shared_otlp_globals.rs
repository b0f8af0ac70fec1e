//! What `init` does to the process, which is why it has a process of its own.

use std::{net::TcpListener, time::Duration};

use opentelemetry::{global, trace::Tracer};
use towpath_telemetry::otlp::Setup;

/// Sends to nobody.
fn setup() -> std::io::Result<Setup> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let setup = Setup::new("flights").endpoint(address.to_string());
    Ok(setup.ratio(1.0).variables(|_| None))
}

#[test]
fn the_first_installs_what_the_process_shares_and_later_ones_leave_it_in_place()
-> Result<(), Box<dyn std::error::Error>> {
    let first = setup()?.start()?;
    let second = setup()?.start()?;
    assert!(first.installed_subscriber());
    assert!(!second.installed_subscriber());

    drop(global::tracer("mine").start("span"));
    tracing::info!("a log record");
    assert_eq!((first.spans().emitted, second.spans().emitted), (1, 0));
    assert_eq!((first.logs().emitted, second.logs().emitted), (1, 0));
    assert!(first.flush_blocking(Duration::from_secs(30)));
    assert_eq!(first.logs().failed, 1);
    assert_eq!(first.logs().emitted, 1, "what is said about it is none");
    drop((first, second));

    let third = setup()?.start()?;
    drop(global::tracer("mine").start("span"));
    assert_eq!(third.spans().emitted, 1, "the place was free again");
    Ok(())
}
