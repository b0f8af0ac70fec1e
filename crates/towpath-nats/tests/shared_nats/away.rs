//! Servers that are away: how often they are asked, and what is said meanwhile.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};
use towpath::{BoxError, Flow, Processor, SinkStage, Source};
use towpath_nats::{
    JetStreamMessage, JetStreamSink, JetStreamSinkOptions, JetStreamSource, JetStreamSourceOptions,
    Publish,
};
use towpath_test::check;
use towpath_test_servers::Proxy;

use super::server::{GROUP, STREAM, Server, options, until};

/// Takes connections, says something or nothing, and closes them; counts them.
fn broken_server(says: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    thread::spawn(move || {
        for connection in listener.incoming() {
            counted.fetch_add(1, Relaxed);
            if let Ok(mut connection) = connection {
                let _said = connection.write_all(says.as_bytes());
            }
        }
    });
    (address, count)
}

/// Returns when every connection of before has been counted; this one is counted, too.
fn all_counted(address: SocketAddr) {
    let mut last = TcpStream::connect(address).unwrap();
    // They are taken one after the other, and this one is closed when it is taken.
    let _rest = last.read_to_end(&mut Vec::new());
}

fn done() -> impl towpath::core::Stage<JetStreamMessage> {
    Processor::new("work", |_: JetStreamMessage| async {
        Ok::<_, BoxError>(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_every_connection_is_not_asked_all_the_time() {
    for says in [
        "",
        "+OK\r\n",
        "-ERR 'maximum connections exceeded'\r\n",
        "HTTP/1.1 400\r\n\r\n",
    ] {
        let (address, count) = broken_server(says);
        let connection = options(&format!("nats://{address}"));
        let source = JetStreamSource::pull(connection.clone(), STREAM, GROUP).unwrap();
        let reading = Flow::from(Source::new("orders", source))
            .process(done())
            .acknowledge();
        let reading = reading.start().await.unwrap();
        let sink = JetStreamSink::publish(connection).unwrap();
        let messages = Source::iter("numbers", [Publish::new("orders.new", "")]);
        let sink = SinkStage::of::<Publish>("orders", sink).workers(2);
        let writing = Flow::from(messages).sink(sink).start().await.unwrap();
        until("both have tried", async || count.load(Relaxed) >= 4).await;
        let (before, begun) = (count.load(Relaxed), Instant::now());
        // Time has to pass: it is what this is about.
        sleep(Duration::from_secs(3)).await;
        let count = count.load(Relaxed) - before;
        let seconds = begun.elapsed().as_secs();
        assert!(
            count < 12 * usize::try_from(seconds).unwrap(),
            "{count} connections in {seconds} s to {says:?}"
        );
        let error = reading.handle().status().sources[0].error.clone();
        assert!(error.unwrap().contains(&address.to_string()));
        for running in [reading, writing] {
            running.handle().drain_within(Duration::from_secs(1));
            running.join().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_on_connecting_when_the_pipeline_has_ended() {
    let (address, count) = broken_server("");
    let source = JetStreamSource::pull(options(&format!("nats://{address}")), STREAM, GROUP);
    let reading = Flow::from(Source::new("orders", source.unwrap())).process(done());
    let reading = reading.acknowledge().start().await.unwrap();
    until("it has tried", async || count.load(Relaxed) > 2).await;
    reading.handle().drain_within(Duration::from_secs(1));
    reading.join().await.unwrap();
    block_in_place(|| all_counted(address));
    let before = count.load(Relaxed);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(count.load(Relaxed), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_is_not_kept_trying_by_the_client() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut proxy = block_in_place(|| Proxy::to(server.nats.address()));
    let source = JetStreamSource::pull(options(&format!("nats://{}", proxy.addr())), STREAM, GROUP);
    let reading = Flow::from(Source::new("orders", source.unwrap())).process(done());
    let reading = reading.acknowledge().start().await.unwrap();
    until("it waits", async || {
        let stream = server.jetstream.get_stream(STREAM).await.unwrap();
        let info = stream.consumer_info(GROUP).await;
        info.is_ok_and(|info| info.num_waiting == 1)
    })
    .await;
    block_in_place(|| proxy.cut());
    let lost = || reading.handle().status().sources[0].error.is_some();
    until("the loss is known", async || lost()).await;
    reading.handle().drain_within(Duration::from_secs(1));
    reading.join().await.unwrap();
    block_in_place(|| proxy.heal());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_a_connection_that_breaks_again_and_again() {
    const MANY: usize = 500;
    let Some(server) = Server::start().await else {
        return;
    };
    let mut proxy = block_in_place(|| Proxy::to(server.nats.address()));
    server.put("orders.new", 0..MANY).await;
    let url = format!("nats://{}", proxy.addr());
    let options_of_source = JetStreamSourceOptions::new(options(&url), STREAM, GROUP)
        .filter_subject("orders.new")
        .ack_wait(Duration::from_secs(5));
    let source = JetStreamSource::new(options_of_source).unwrap();
    let sink = JetStreamSink::publish(options(&url)).unwrap();
    let copy = Processor::new("copy", |message: JetStreamMessage| async move {
        sleep(Duration::from_millis(2)).await;
        Ok::<_, BoxError>(Publish::new("orders.copied", message.payload))
    });
    let copying = Flow::from(Source::new("orders", source)).process(copy.unordered(4));
    let copying = copying
        .sink(SinkStage::of::<Publish>("copies", sink))
        .max_demand(16);
    let copying = copying.start().await.unwrap();
    for _ in 0..5 {
        sleep(Duration::from_millis(150)).await;
        block_in_place(|| proxy.cut());
        sleep(Duration::from_millis(50)).await;
        block_in_place(|| proxy.heal());
    }
    until("all is done", async || {
        let info = server.consumer(GROUP).await;
        info.num_pending == 0 && info.num_ack_pending == 0
    })
    .await;
    copying.handle().drain();
    check(&copying.join().await.unwrap());
    let mut copies: Vec<usize> = server.stored().await.iter().filter_map(copied).collect();
    copies.sort_unstable();
    // The ids of the copies are those of the originals, so there is one of each.
    assert_eq!(copies, (0..MANY).collect::<Vec<_>>());
}

fn copied((subject, payload): &(String, String)) -> Option<usize> {
    (subject == "orders.copied").then(|| payload.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_back_when_the_patience_is_over() {
    let sink = JetStreamSinkOptions::new(options("nats://127.0.0.1:9"));
    let sink = JetStreamSink::new(sink.patience(Duration::from_millis(300))).unwrap();
    let (source, outcomes) = towpath_test::TestSource::of([Publish::new("orders.new", "0")]);
    let writing = Flow::from(source).sink(SinkStage::of::<Publish>("orders", sink));
    let writing = writing.start().await.unwrap();
    until("it goes back", async || !outcomes.of(0).is_empty()).await;
    assert_eq!(outcomes.of(0)[0].word(), "retried");
    writing.handle().drain_within(Duration::from_millis(100));
    writing.join().await.unwrap();
}
