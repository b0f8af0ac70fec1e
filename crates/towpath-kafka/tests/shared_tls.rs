//! Brokers that want TLS.

#[cfg(test)]
#[path = "support/client.rs"]
#[expect(dead_code, reason = "not every test looks at everything")]
mod client;
#[cfg(test)]
#[path = "support/pipes.rs"]
#[expect(dead_code, reason = "not every test does everything")]
mod pipes;

#[cfg(test)]
mod tls {
    use towpath::{Flow, SinkStage, Source};
    use towpath_kafka::{KafkaSink, KafkaSinkOptions, Record, Security};
    use towpath_test::Recorder;
    use towpath_test_servers::{Kafka, or_not_run};

    use crate::{
        client,
        pipes::{self, quick},
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn records_go_out_and_come_in_where_the_certificate_is_known() {
        let Some(kafka) = or_not_run(Kafka::with_tls()) else {
            return;
        };
        kafka.create_topic("orders", 2);
        let security = Security::tls().ca_file(kafka.ca_path());
        let brokers = kafka.brokers();
        let options = KafkaSinkOptions::new(&*brokers)
            .topic("orders")
            .security(security.clone());
        let records = (0..50).map(|n| Record::new(n.to_string()));
        let sending = Flow::from(Source::iter("numbers", records)).sink(SinkStage::of::<Record>(
            "topic",
            KafkaSink::new(options).unwrap(),
        ));
        let report = pipes::within(sending.run()).await.unwrap();
        assert_eq!(report.counts.done, 50, "{report}");
        let recorder = Recorder::new();
        let options = quick(&brokers, "g", "orders").security(security);
        let running = pipes::recording(options, &recorder).start().await.unwrap();
        pipes::within(recorder.wait_for(50)).await;
        drop(pipes::drained(running).await);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broker_whose_certificate_nobody_knows_is_told_by_the_option() {
        let Some(kafka) = or_not_run(Kafka::with_tls()) else {
            return;
        };
        kafka.create_topic("orders", 1);
        let inside = kafka.address().to_string();
        client::put_numbers(&inside, "orders", 1, 0..1);
        let missing = Security::tls().ca_file("no-such-file.pem");
        for security in [Security::tls(), missing] {
            let recorder = Recorder::<usize>::new();
            let options = quick(&kafka.brokers(), "g", "orders").security(security);
            let running = pipes::recording(options, &recorder).start().await.unwrap();
            let error = || running.handle().status().sources[0].error.clone();
            let told = || error().is_some_and(|error| error.contains("refuse `security`"));
            pipes::until("it is told", told).await;
            assert_eq!(recorder.items(), Vec::<usize>::new());
        }
    }
}
