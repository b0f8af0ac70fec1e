//! Run: `cargo run -p towpath-kafka --example events -- localhost:9092 events loud-events`, with
//! a broker that has both topics:
//! `kafka-topics.sh --bootstrap-server localhost:9092 --create --topic events --partitions 4`.
//!
//! Puts some events into the first topic with one pipeline, and copies them to the second one
//! with another, in capitals: some come again once, one is no event at all. Start it several
//! times at once: they share the partitions. End it with Ctrl-C or kill it at any moment: what
//! is not done is done by the others, or the next time.

use std::{env, process::ExitCode, time::Duration};

use tokio::time::{sleep, timeout};
use towpath::{prelude::*, shutdown_signal};
use towpath_kafka::{
    KafkaRecord, KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions, Record,
};

const EVENTS: u32 = 20;
const GROUP: &str = "towpath-events";

/// What is said on the command line.
struct Arguments {
    brokers: String,
    from: String,
    to: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: events BROKERS FROM TO\n\nBoth topics must be there.");
        return ExitCode::from(2);
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<Arguments> {
    let mut given = env::args().skip(1);
    let arguments = Arguments {
        brokers: given.next().filter(|brokers| !brokers.starts_with('-'))?,
        from: given.next()?,
        to: given.next()?,
    };
    given.next().is_none().then_some(arguments)
}

async fn run(arguments: &Arguments) -> Result<(), BoxError> {
    let Arguments { brokers, from, to } = arguments;
    publish(brokers, from).await?;

    let options = KafkaSourceOptions::new(brokers, GROUP, [from]);
    let source = KafkaSource::new(options)?;
    let unsettled = source.unsettled();
    let sink = KafkaSink::new(KafkaSinkOptions::new(brokers).topic(to))?;
    let pipeline = Flow::from(Source::new("events", source).keep_original())
        .process(Processor::with_context("shout", shout).unordered(8))
        .batch(Batcher::new("collect").max_messages(100))
        .sink(SinkStage::of::<Record>("loud events", sink))
        .dead_letter(each("dead letters", |letter: DeadLetter| async move {
            let why = letter.cause.chain().join(": ");
            println!("{:?} is no event: {why}", letter.origin.identity);
            Ok::<_, BoxError>(())
        }));
    let running = pipeline.start().await?;
    let handle = running.handle().clone();
    let quiet = async {
        // Nothing new for some seconds: that was all.
        let mut before = u64::MAX;
        while before != handle.status().counts.emitted {
            before = handle.status().counts.emitted;
            sleep(Duration::from_secs(5)).await;
            if let Some(error) = &handle.status().sources[0].error {
                eprintln!("waiting: {error}");
            }
        }
    };
    tokio::select! {
        () = quiet => println!("nothing new: that was all"),
        () = shutdown_signal() => println!("stopping"),
    }
    if let Some(oldest) = unsettled.oldest() {
        println!("not done for {:?}: offset {}", oldest.age, oldest.offset);
    }
    handle.drain();
    println!("{}", running.join().await?);
    Ok(())
}

/// Says it in capitals. Every seventh one fails when it comes for the first time.
async fn shout(event: Call<KafkaRecord>) -> Result<Record, BoxError> {
    let text = str::from_utf8(event.payload.as_ref())?.to_uppercase();
    let number = text.rsplit(' ').next().unwrap_or_default();
    if number.parse::<u32>()? % 7 == 0 && event.origin.attempt == 1 {
        let later = Duration::from_secs(1);
        return Err(Failure::retry("not yet").after(later).into());
    }
    println!("{text} (attempt {})", event.origin.attempt);
    Ok(Record::from(event.into_payload()).payload(text))
}

/// Puts events in; the last one is none.
async fn publish(brokers: &str, topic: &str) -> Result<(), BoxError> {
    let sink = KafkaSink::new(KafkaSinkOptions::new(brokers).topic(topic))?;
    let events = (1..=EVENTS).map(|n| Record::new(format!("event {n}")).key(format!("{}", n % 4)));
    let events = events.chain([Record::new("no event")]);
    let publishing = Flow::from(Source::iter("new events", events))
        .batch(Batcher::new("collect").max_messages(100))
        .sink(SinkStage::of::<Record>("events", sink))
        .start()
        .await?;
    let handle = publishing.handle().clone();
    let Ok(report) = timeout(Duration::from_secs(30), publishing.join()).await else {
        let stages = handle.status().stages;
        let error = stages.into_iter().find_map(|stage| stage.reach?.error);
        return Err(error.unwrap_or_else(|| "no answer".to_owned()).into());
    };
    match report?.counts.done {
        0 => Err(format!("topic {topic} takes nothing: is it there?").into()),
        published => {
            println!("published {published} of {}", EVENTS + 1);
            Ok(())
        }
    }
}
