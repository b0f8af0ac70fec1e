//! How messages are published.

use std::time::Duration;

use async_nats::jetstream::stream;
use futures_util::StreamExt as _;
use towpath::{Batcher, BoxError, Flow, Guarantee, Report, SinkStage, Source};
use towpath_nats::{JetStreamSink, JetStreamSinkOptions, JetStreamSource, Publish};
use towpath_test::{TestSource, check};

use super::server::{GROUP, STREAM, Server, stream_config, until};

async fn publish(server: &Server, messages: Vec<Publish>) -> Report {
    let sink = JetStreamSink::publish(server.connection()).unwrap();
    let report = Flow::from(Source::iter("messages", messages))
        .batch(Batcher::new("collect").max_messages(100))
        .sink(SinkStage::of::<Publish>("publish", sink))
        .run()
        .await
        .unwrap();
    check(&report);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_is_rejected_alone_and_named() {
    let Some(server) = Server::start().await else {
        return;
    };
    let small = stream::Config {
        name: "SMALL".to_owned(),
        subjects: vec!["small".to_owned()],
        max_message_size: 100,
        ..stream::Config::default()
    };
    server.stream(small).await;
    let messages = vec![
        Publish::new("orders.new", "first"),
        Publish::new("orders.new", vec![b'x'; 2 << 20]),
        Publish::new("nowhere", "no stream"),
        Publish::new("orders.*", "a wildcard"),
        Publish::new("", "no subject"),
        Publish::new("small", vec![b'x'; 101]),
        Publish::new("orders.new", "a header").header("a:b", "c"),
        Publish::new("orders.new", "").id("empty"),
    ];
    let report = publish(&server, messages).await;
    assert_eq!((report.counts.done, report.counts.rejected), (2, 6));
    let causes: Vec<_> = report.causes.iter().map(|cause| cause.join(": ")).collect();
    let causes = causes.join("\n");
    for words in [
        "more than the 1048576 that the server takes",
        "no stream takes the subject \"nowhere\"",
        "\"orders.*\" is no subject",
        "\"\" is no subject",
        "max_msg_size",
        "header \"a:b\"",
    ] {
        assert!(causes.contains(words), "{words} is not in\n{causes}");
    }
    let stored = server.stored().await;
    let payloads: Vec<_> = stored.iter().map(|(_, payload)| payload.as_str()).collect();
    assert_eq!(payloads, ["first", ""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_an_id_is_stored_once() {
    let Some(server) = Server::start().await else {
        return;
    };
    for _ in 0..2 {
        let messages = vec![
            Publish::new("orders.new", "a").id("a"),
            Publish::new("orders.new", "b").header("Nats-Msg-Id", "b"),
            Publish::new("orders.new", "a").id("a"),
        ];
        let report = publish(&server, messages).await;
        assert_eq!(report.counts.done, 3);
    }
    let stored = server.stored().await;
    let payloads: Vec<_> = stored.iter().map(|(_, payload)| payload.as_str()).collect();
    assert_eq!(payloads, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_the_source_is_the_id_where_it_is_wanted() {
    let Some(server) = Server::start().await else {
        return;
    };
    for (deduplicate, stored) in [(true, 3), (false, 6)] {
        for _ in 0..2 {
            let options = JetStreamSinkOptions::new(server.connection()).deduplicate(deduplicate);
            let sink = JetStreamSink::new(options).unwrap();
            let messages: Vec<_> = (0..3)
                .map(|n| Publish::new("orders.new", n.to_string()))
                .collect();
            let (source, _) = TestSource::of(messages);
            let writing = Flow::from(source).sink(SinkStage::of::<Publish>("publish", sink));
            assert_eq!(writing.run().await.unwrap().counts.done, 3);
        }
        let before = if deduplicate { 0 } else { 3 };
        assert_eq!(server.stored().await.len() - before, stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_parts_of_one_message_are_stored() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (source, _) = TestSource::of(["one two two three two"]);
    let sink = JetStreamSink::publish(server.connection()).unwrap();
    let report = Flow::from(source)
        .flat_map(|text: &str| {
            let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
            words
                .into_iter()
                .map(|word| Publish::new("orders.word", word))
        })
        .batch(Batcher::new("pairs").max_messages(2))
        .sink(SinkStage::of::<Publish>("publish", sink))
        .run()
        .await
        .unwrap();
    check(&report);
    let stored = server.stored().await;
    let words: Vec<_> = stored.iter().map(|(_, payload)| payload.as_str()).collect();
    assert_eq!(words, ["one", "two", "two", "three", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_stages_make_of_one_message_is_stored() -> Result<(), BoxError> {
    let Some(server) = Server::start().await else {
        return Ok(());
    };
    let sink = JetStreamSink::publish(server.connection())?;
    for (stage, subject) in [
        ("invoices", "orders.invoice"),
        ("parcels", "orders.parcel"),
        ("audit", "orders.parcel"),
    ] {
        for _ in 0..2 {
            let (source, _) = TestSource::of([Publish::new(subject, stage)]);
            let stage = SinkStage::of::<Publish>(stage, sink.clone());
            assert_eq!(Flow::from(source).sink(stage).run().await?.counts.done, 1);
        }
    }
    let stored = server.stored().await;
    let stages: Vec<_> = stored.iter().map(|(_, stage)| stage.as_str()).collect();
    assert_eq!(stages, ["invoices", "parcels", "audit"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_is_waited_for() -> Result<(), BoxError> {
    let Some(server) = Server::empty().await else {
        return Ok(());
    };
    let full = stream::Config {
        max_messages: 2,
        discard: stream::DiscardPolicy::New,
        ..stream_config()
    };
    server.stream(full).await;
    server.put("orders.new", 0..2).await;
    let sink = JetStreamSink::publish(server.connection())?;
    let messages = (2..4).map(|n| Publish::new("orders.new", n.to_string()));
    let writing = Flow::from(Source::iter("messages", messages));
    let writing = writing
        .sink(SinkStage::of::<Publish>("publish", sink))
        .start()
        .await?;
    let handle = writing.handle().clone();
    let error = || {
        handle
            .status()
            .stages
            .iter()
            .find_map(|s| s.reach.clone()?.error)
    };
    until("it is full", async || error().is_some()).await;
    assert!(
        error().unwrap().contains("maximum messages exceeded"),
        "{:?}",
        error()
    );
    server.jetstream.get_stream(STREAM).await?.purge().await?;
    let report = writing.join().await?;
    assert_eq!(report.counts.done, 2);
    assert_eq!(
        server
            .jetstream
            .get_stream(STREAM)
            .await?
            .cached_info()
            .state
            .messages,
        2
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_somebody_else_is_no_confirmation() {
    let Some(server) = Server::start().await else {
        return;
    };
    let client = server.jetstream.client();
    let mut service = client.subscribe("orders.>").await.unwrap();
    client.flush().await.unwrap();
    let answering = async {
        while let Some(message) = service.next().await {
            let reply = message.reply.unwrap();
            client.publish(reply, "thank you".into()).await.unwrap();
        }
    };
    let messages = (0..50)
        .map(|n| Publish::new("orders.new", n.to_string()))
        .collect();
    let report = tokio::select! {
        report = publish(&server, messages) => report,
        () = answering => unreachable!("the service does not end"),
    };
    assert_eq!(report.counts.done, 50);
    assert_eq!(server.stored().await.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_stream_to_stream_is_effectively_once_where_ids_are_used() -> Result<(), BoxError> {
    for (deduplicate, promised) in [
        (true, Guarantee::EffectivelyOnce),
        (false, Guarantee::AtLeastOnce),
    ] {
        let source = JetStreamSource::pull("nats://localhost", STREAM, GROUP)?;
        let options = JetStreamSinkOptions::new("nats://localhost").deduplicate(deduplicate);
        let sink = SinkStage::of::<Publish>("copies", JetStreamSink::new(options)?);
        let copying = Flow::from(Source::new("orders", source))
            .map(|message| Publish::new("copies", message.payload))
            .sink(sink);
        assert_eq!(copying.delivery_guarantee().0, promised);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_stands_before_every_subject() -> Result<(), BoxError> {
    let Some(server) = Server::start().await else {
        return Ok(());
    };
    let options = JetStreamSinkOptions::new(server.connection()).subject_prefix("orders.eu");
    let sink = SinkStage::of::<Publish>("publish", JetStreamSink::new(options)?);
    let message = Publish::new("new", "0");
    let report = Flow::from(Source::iter("one", [message]))
        .sink(sink)
        .run()
        .await?;
    assert_eq!(report.counts.done, 1);
    assert_eq!(
        server.stored().await,
        [("orders.eu.new".to_owned(), "0".to_owned())]
    );
    // Not a moment longer than needed: the connection is given up with the pipeline.
    tokio::time::timeout(Duration::from_secs(5), server.jetstream.client().flush()).await??;
    Ok(())
}
