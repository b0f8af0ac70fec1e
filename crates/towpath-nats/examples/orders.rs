//! Run: `cargo run -p towpath-nats --example orders -- nats://localhost:4222`, with a server
//! that was started with `nats-server -js`.
//!
//! Makes a stream, publishes orders to it with one pipeline, and works on them with another:
//! some are not paid yet and come again later, one is no order at all. Start it several times
//! at once: they share the work. End it with Ctrl-C or kill it at any moment: what is not done
//! is done by the others, or the next time.

use std::{env, process::ExitCode, time::Duration};

use async_nats::jetstream::{self, stream};
use tokio::time::{sleep, timeout};
use towpath::{options::without_secrets, prelude::*, shutdown_signal};
use towpath_nats::{
    JetStreamMessage, JetStreamSink, JetStreamSinkOptions, JetStreamSource, JetStreamSourceOptions,
    Publish,
};

const STREAM: &str = "TOWPATH_ORDERS";
const SUBJECT: &str = "towpath.orders";
const CONSUMER: &str = "shipping";

#[tokio::main]
async fn main() -> ExitCode {
    let Some((url, count)) = arguments() else {
        eprintln!("usage: orders nats://HOST:PORT [ORDERS]\n\nThe server needs JetStream.");
        return ExitCode::from(2);
    };
    match run(&url, count).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address, and how many orders to publish.
fn arguments() -> Option<(String, u32)> {
    let mut given = env::args().skip(1);
    let url = given.next().filter(|url| !url.starts_with('-'))?;
    let count = match given.next() {
        Some(count) => count.parse().ok()?,
        None => 20,
    };
    given.next().is_none().then_some((url, count))
}

async fn run(url: &str, count: u32) -> Result<(), BoxError> {
    make_stream(url).await?;
    publish(url, count).await?;

    let options =
        JetStreamSourceOptions::new(url, STREAM, CONSUMER).ack_wait(Duration::from_secs(5));
    let source = Source::new("orders", JetStreamSource::new(options)?);
    let pipeline = Flow::from(source)
        .decode(order)
        .process(Processor::with_context("ship", ship).unordered(8))
        .acknowledge();
    let running = pipeline.start().await?;
    let handle = running.handle().clone();
    let quiet = async {
        // Nothing new for three seconds: that was all.
        let mut before = u64::MAX;
        while before != handle.status().counts.emitted {
            before = handle.status().counts.emitted;
            sleep(Duration::from_secs(3)).await;
        }
    };
    tokio::select! {
        () = quiet => {}
        () = shutdown_signal() => {}
    }
    handle.drain();
    let counts = running.join().await?.counts;
    println!(
        "{} done, {} tried again, {} rejected",
        counts.done, counts.retried, counts.rejected
    );
    Ok(())
}

/// Streams are made by whoever runs the server; here that is us.
async fn make_stream(url: &str) -> Result<(), BoxError> {
    let connecting = timeout(Duration::from_secs(5), async_nats::connect(url));
    let cannot = |why: BoxError| format!("cannot connect to {}: {why}", without_secrets(url));
    let client = connecting.await.map_err(|late| cannot(late.into()))?;
    let jetstream = jetstream::new(client.map_err(|error| cannot(error.into()))?);
    let config = stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        max_messages: 100_000,
        ..stream::Config::default()
    };
    jetstream.get_or_create_stream(config).await?;
    Ok(())
}

async fn publish(url: &str, count: u32) -> Result<(), BoxError> {
    let orders = (1..=count)
        .map(|n| format!("order {n}"))
        .chain(["no such thing".to_owned()]);
    let messages = orders.map(|order| Publish::new(SUBJECT, order));
    let sink = JetStreamSink::new(JetStreamSinkOptions::new(url).stream(STREAM))?;
    let report = Flow::from(Source::iter("new orders", messages))
        .batch(Batcher::new("collect").max_messages(100))
        .sink(SinkStage::of::<Publish>("publish", sink))
        .run_until(shutdown_signal())
        .await?;
    println!("{} published", report.counts.done);
    Ok(())
}

fn order(message: &JetStreamMessage) -> Result<u32, BoxError> {
    let text = std::str::from_utf8(&message.payload)?;
    let number = text.strip_prefix("order ").ok_or("not an order")?;
    Ok(number.parse()?)
}

async fn ship(call: Call<u32>) -> Result<(), BoxError> {
    let (order, attempt) = (call.payload, call.origin.attempt);
    if order % 7 == 0 && attempt < 3 {
        println!("  order {order}: not paid yet, attempt {attempt}");
        return Err(Failure::retry("not paid yet")
            .after(Duration::from_secs(1))
            .into());
    }
    sleep(Duration::from_millis(20)).await;
    println!("  order {order}: shipped, attempt {attempt}");
    Ok(())
}
