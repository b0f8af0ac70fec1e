//! Run: `cargo run -p towpath-postgres --example outbox -- postgres://postgres@localhost/postgres`
//!
//! A transactional outbox: each order is stored together with the message that it has to be
//! shipped, both or none. A pipeline takes the messages and stores the shipments, each once. Kill
//! it at any moment and start it again: in the end there is one shipment for each order.

use std::{env, process::ExitCode, time::Duration};

use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};
use towpath::{prelude::*, shutdown_signal};
use towpath_postgres::{
    Entry, Once, PostgresMessage, PostgresQueue, PostgresQueueOptions, PostgresSink,
    PostgresSinkOptions, PostgresSource, PostgresSourceOptions, Row,
};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS example_orders (id bigserial PRIMARY KEY, customer text NOT NULL);
    CREATE TABLE IF NOT EXISTS example_shipments (\"order\" bigint, customer text NOT NULL);
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some((url, count)) = arguments() else {
        eprintln!("usage: outbox URL [ORDERS]\n\nURL is postgres://user:password@host/database.");
        return ExitCode::from(2);
    };
    match run(&url, count).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// The server, and how many orders to place.
fn arguments() -> Option<(String, u32)> {
    let mut given = env::args().skip(1);
    let url = given.next().filter(|url| !url.starts_with('-'))?;
    let count = given.next().map_or(Ok(100), |count| count.parse()).ok()?;
    given.next().is_none().then_some((url, count))
}

async fn run(url: &str, count: u32) -> Result<(), BoxError> {
    let mut queue = PostgresQueue::new(PostgresQueueOptions::new(url, "example_outbox"))?;
    queue.create().await?;
    let columns = ["order", "customer"];
    let options = PostgresSinkOptions::copy_into(url, "example_shipments", columns)
        .once(Once::new("shipments").table("example_applied"));
    let mut shipments = PostgresSink::new(options, ship)?;
    shipments.create_applied().await?;

    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    client.batch_execute(TABLES).await?;
    let client = place_orders(client, &queue, count).await?;

    let source = PostgresSource::new(PostgresSourceOptions::new(url, "example_outbox"))?;
    let pipeline = Flow::from(Source::new("outbox", source))
        .decode(order)
        .batch(
            Batcher::new("shipments")
                .max_messages(50)
                .max_wait(Duration::from_millis(100)),
        )
        .sink(SinkStage::of("store", shipments).workers(2))
        .require(Guarantee::EffectivelyOnce);
    let report = pipeline.run_until(all_shipped_or_told(&client)).await?;
    println!("{} messages done", report.counts.done);
    let unshipped = "SELECT (SELECT count(*) FROM example_orders), count(*), \
                     count(DISTINCT \"order\") FROM example_shipments";
    let row = client.query_one(unshipped, &[]).await?;
    let counts: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
    println!(
        "{} orders, {} shipments of {} orders",
        counts[0], counts[1], counts[2]
    );
    Ok(())
}

/// Each order and its message in one transaction; every tenth changes its mind.
async fn place_orders(
    mut client: Client,
    queue: &PostgresQueue,
    count: u32,
) -> Result<Client, BoxError> {
    let mut placed = 0;
    for number in 1..=count {
        let customer = format!("customer {}", number % 7);
        let transaction = client.transaction().await?;
        let insert = "INSERT INTO example_orders (customer) VALUES ($1) RETURNING id";
        let id: i64 = transaction.query_one(insert, &[&customer]).await?.get(0);
        let message = Entry::new(id.to_string()).key(customer);
        queue.enqueue_in(&transaction, [message]).await?;
        if number % 10 == 0 {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
            placed += 1;
        }
    }
    println!("{placed} orders placed, {} taken back", count - placed);
    Ok(client)
}

/// The number of the order, and the customer.
fn order(job: &PostgresMessage) -> Result<(i64, String), BoxError> {
    let number = std::str::from_utf8(&job.payload)?.parse()?;
    let customer = job.key.clone().ok_or("an order without a customer")?;
    Ok((number, customer))
}

fn ship((order, customer): &(i64, String), row: &mut Row<'_>) {
    row.add(order).add(customer);
}

/// Resolves when the outbox is empty, or on Ctrl-C.
async fn all_shipped_or_told(client: &Client) {
    let empty = async {
        let waits = "SELECT EXISTS (SELECT FROM example_outbox)";
        while client
            .query_one(waits, &[])
            .await
            .is_ok_and(|row| row.get(0))
        {
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = empty => {}
        () = shutdown_signal() => {}
    }
}
