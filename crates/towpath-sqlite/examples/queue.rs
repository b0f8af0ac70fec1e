//! Run: `cargo run -p towpath-sqlite --example queue -- orders.queue`
//!
//! Puts orders into a queue in a file and works on them: some are not paid yet and come again
//! later, one is no order at all and ends as a dead letter, in a queue of its own. End it with
//! Ctrl-C or kill it at any moment: what is not done is done the next time.

use std::{env, path::PathBuf, process::ExitCode, time::Duration};

use tokio::time::sleep;
use towpath::{prelude::*, shutdown_signal};
use towpath_sqlite::{Entry, SqliteMessage, SqliteQueue, SqliteQueueOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some((path, count)) = arguments() else {
        eprintln!("usage: queue FILE [ORDERS]\n\nThe file is made where there is none.");
        return ExitCode::from(2);
    };
    match run(path, count).await {
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

/// The file, and how many orders to put in.
fn arguments() -> Option<(PathBuf, u32)> {
    let mut given = env::args_os().skip(1);
    let path = given
        .next()
        .filter(|path| !path.to_string_lossy().starts_with('-'))?;
    let count = match given.next() {
        Some(count) => count.to_str()?.parse().ok()?,
        None => 6,
    };
    given.next().is_none().then(|| (path.into(), count))
}

async fn run(path: PathBuf, count: u32) -> Result<(), BoxError> {
    let queue = SqliteQueue::open(&path, SqliteQueueOptions::default())?;
    let letters = SqliteQueue::open(path.with_extension("dead"), SqliteQueueOptions::default())?;
    println!("{} from before", queue.depth().await?.messages);
    put_in(&queue, count).await?;

    let work = Processor::with_context("ship", |call: Call<(String, String)>| async move {
        let ((customer, order), attempt) = (call.payload, call.origin.attempt);
        if order.ends_with('3') && attempt < 3 {
            println!("  {order} of {customer}: not paid yet, attempt {attempt}");
            let later = Failure::retry("not paid yet").after(Duration::from_millis(500));
            return Err(BoxError::from(later));
        }
        println!("  {order} of {customer}: shipped, attempt {attempt}");
        Ok(())
    });
    let letter = |letter: &DeadLetter| {
        println!("  a dead letter: {}", letter.cause.chain().join(": "));
        serde_json::to_vec(letter).unwrap_or_default()
    };
    let pipeline = Flow::from(Source::new("orders", queue.source()).keep_original())
        .decode(order)
        .process(work.unordered(4))
        .acknowledge()
        .dead_letter(SinkStage::of("letters", letters.sink(letter)));
    let report = pipeline.run_until(empty_or_told(&queue)).await?;
    let counts = report.counts;
    println!(
        "{} done, {} tried again, {} rejected",
        counts.done, counts.retried, counts.rejected
    );
    println!(
        "{} left, {} dead letters",
        queue.depth().await?.messages,
        letters.depth().await?.messages
    );
    Ok(())
}

/// All of them in one transaction: they are on the disk when it returns.
async fn put_in(queue: &SqliteQueue, count: u32) -> Result<(), BoxError> {
    let orders =
        (1..=count).map(|n| Entry::new(format!("order {n}")).key(format!("customer {}", n % 2)));
    queue.enqueue_many(orders).await?;
    queue.enqueue(Entry::new("no such thing")).await?;
    let reminder = Entry::new("order 0")
        .key("customer 0")
        .delay(Duration::from_secs(1));
    queue.enqueue(reminder).await?;
    println!("{} put in, one of them for a second later", count + 2);
    Ok(())
}

/// The customer, and the order.
fn order(queued: &SqliteMessage) -> Result<(String, String), BoxError> {
    let text = std::str::from_utf8(&queued.payload)?;
    let customer = queued.key.clone().ok_or("an order without a customer")?;
    Ok((customer, text.to_owned()))
}

/// Resolves when there is nothing left to do, or on Ctrl-C.
async fn empty_or_told(queue: &SqliteQueue) {
    let empty = async {
        while queue.depth().await.is_ok_and(|depth| depth.messages > 0) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = empty => {}
        () = shutdown_signal() => {}
    }
}
