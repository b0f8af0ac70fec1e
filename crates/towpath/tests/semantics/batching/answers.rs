//! What a sink answers for a batch, and what comes of each message.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_error_of_the_sink_rejects_every_message_of_the_batch_with_its_cause() {
    let (source, outcomes) = TestSource::of(0..6);
    let recorder = Recorder::new().error_on_batch(0);
    let batcher = patient().max_messages(3);
    let report = run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    for n in 0..3 {
        let Outcome::Reject(cause) = outcomes.only(n) else {
            panic!("message {n} is not rejected");
        };
        assert_eq!(cause.stage().as_str(), "sink");
        assert!(cause.error().to_string().contains("fails"), "{cause:?}");
    }
    assert_eq!(words(&outcomes, 6)[3..], ["done"; 3]);
    assert_eq!(report.counts.rejected, 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_sink_fails_all_hundred_messages_of_the_batch_and_the_worker_lives() {
    let (source, outcomes) = TestSource::of(0..200);
    let recorder = Recorder::new().panic_on_batch(0);
    let report = run(Flow::from(source)
        .batch(Batcher::new("batch"))
        .sink(recorder.sink("sink")))
    .await;
    assert_eq!(outcomes.count("rejected"), 100);
    assert_eq!(recorder.items(), (100..200).collect::<Vec<_>>());
    let sink = report
        .stages
        .iter()
        .find(|s| s.name.as_str() == "sink")
        .unwrap();
    assert_eq!((sink.counts.panicked, sink.counts.restarts), (100, 0));
    assert!(
        report.causes[0].concat().contains("panicked"),
        "{:?}",
        report.causes
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_messages_that_the_sink_rejects_are_rejected() {
    let (source, outcomes) = TestSource::of(0..100_u32);
    let recorder = Recorder::new().fail_when(|n| [3, 7].contains(n));
    run(Flow::from(source)
        .batch(Batcher::new("batch"))
        .sink(recorder.sink("sink")))
    .await;
    assert_eq!(recorder.batches().len(), 1);
    assert_eq!(outcomes.count("done"), 98);
    assert_eq!(
        [outcomes.only(3).word(), outcomes.only(7).word()],
        ["rejected"; 2]
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_messages_that_the_sink_gives_back_come_again() {
    let (source, outcomes) = TestSource::new(0..100_u32).redelivering(2).build();
    let recorder = Recorder::new().retry_when(|n| [3, 7].contains(n));
    let batcher = Batcher::new("batch").max_wait(Duration::from_millis(10));
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    let written: Vec<_> = recorder.batches().into_iter().map(|b| b.0).collect();
    assert_eq!(written, [(0..100).collect(), vec![3, 7]]);
    assert_eq!(outcomes.count("done"), 98);
    assert_eq!((outcomes.of(3).len(), outcomes.of(7).len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_answer_of_the_sink_is_given_back_and_counted() {
    let (source, outcomes) = TestSource::of(0..100);
    let sink = write("short", |batch: Batch<i32>| async move {
        Ok::<_, BoxError>(Verdicts::each(vec![Ok::<(), &str>(()); batch.len() - 1]))
    });
    let report = run(Flow::from(source).batch(Batcher::new("batch")).sink(sink)).await;
    assert_eq!(outcomes.count("done"), 99);
    assert_eq!(outcomes.only(99).word(), "retried");
    let sink = report
        .stages
        .iter()
        .find(|s| s.name.as_str() == "short")
        .unwrap();
    assert_eq!(sink.counts.failed, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_message_changes_nothing() {
    let (source, outcomes) = TestSource::of(0..3);
    let sink = write("long", |_: Batch<i32>| async move {
        let answers = [Ok(()), Err("bad"), Ok(()), Err("nobody"), Ok(())];
        Ok::<_, BoxError>(Verdicts::each(answers).reject(77, "nobody either"))
    });
    run(Flow::from(source).batch(Batcher::new("batch")).sink(sink)).await;
    assert_eq!(words(&outcomes, 3), ["done", "rejected", "done"]);
}

/// Messages that all have the same identity, and the same payload.
struct Twins(u32);

impl Producer for Twins {
    type Payload = &'static str;
    type Acknowledger = Unacknowledged;

    async fn receive(
        &mut self,
        intake: &mut Intake<&'static str, ()>,
    ) -> Result<Received, BoxError> {
        while intake.room() > 0 && self.0 > 0 {
            let origin = Origin::default().identified("the same");
            intake.push(Delivery::new("the same", ()).with_origin(origin));
            self.0 -= 1;
        }
        Ok(if self.0 == 0 {
            Received::End
        } else {
            Received::More
        })
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_identity_get_each_the_outcome_of_its_own_place() {
    let sink = write("twins", |_: Batch<&str>| async move {
        let verdicts = Verdicts::done()
            .reject(0, "never")
            .retry(1, "later", Duration::ZERO);
        Ok::<_, BoxError>(verdicts)
    });
    let report = run(Flow::from(Source::new("twins source", Twins(3)))
        .batch(patient())
        .sink(sink))
    .await;
    let Counts {
        done,
        retried,
        rejected,
        ..
    } = report.counts;
    assert_eq!((done, retried, rejected), (1, 1, 1));
}
