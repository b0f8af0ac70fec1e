//! Tasks in a stream of NATS: those of a customer are all in one lane.

use std::num::NonZeroU32;

use async_nats::jetstream::{self, stream};
use towpath::nats::{
    JetStreamSink, JetStreamSource, JetStreamSourceOptions, Lanes, Publish, lane_subject,
};
use towpath::prelude::*;

use crate::cli::{Fill, Work};
use crate::task::Task;

/// Subjects `fleet.0`, `fleet.1`.. each with its order.
const LANES: NonZeroU32 = NonZeroU32::new(12).expect("not zero");

/// The durable consumer that all members share.
const CONSUMER: &str = "fleet";

/// Ordered members take one task of a lane after another; others take whatever comes.
pub(crate) fn source(options: &Work) -> Result<JetStreamSource, BoxError> {
    let place = &options.place;
    let source = JetStreamSourceOptions::new(place.address.as_str(), &place.name, CONSUMER)
        .ack_wait(options.lease);
    let source = if options.ordered {
        source.lanes(Lanes::new(&place.name, LANES))
    } else {
        source
    };
    Ok(JetStreamSource::new(source)?)
}

pub(crate) async fn fill(options: &Fill) -> Result<Report, BoxError> {
    create_stream(options).await?;
    let place = &options.place;
    let sink = JetStreamSink::publish(place.address.as_str())?;
    let name = place.name.clone();
    let report = Flow::from(Source::iter("tasks", Task::all(options)))
        .try_map(move |task| {
            let subject = lane_subject(&name, &task.customer, LANES);
            Ok::<_, BoxError>(Publish::new(subject, task.to_json()?))
        })
        .batch(Batcher::new("batch"))
        .sink(SinkStage::of::<Publish>("stream", sink))
        .run()
        .await?;
    Ok(report)
}

/// One that is there is taken as it is.
async fn create_stream(options: &Fill) -> Result<(), BoxError> {
    let place = &options.place;
    let client = async_nats::connect(&place.address).await;
    let client = client.map_err(|error| format!("no server at --address answers: {error}"))?;
    let stream = stream::Config {
        name: place.name.clone(),
        subjects: vec![format!("{}.*", place.name)],
        ..stream::Config::default()
    };
    jetstream::new(client).get_or_create_stream(stream).await?;
    Ok(())
}
