//! Who waits, who is woken, and what tasks that are dropped half-way leave behind.
#![cfg(not(shuttle))]

use std::{
    future::poll_fn,
    num::NonZeroUsize,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};
use towpath_link::{
    Chunk, Receiver, Sender, Size,
    invariants::{Census, credit_is_home, link_holds},
    link,
};

/// How long the work on one item takes.
const WORK: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn an_empty_chunk_is_demand_at_once() {
    let (mut sender, mut receiver) = link(size(1, 2));
    send(&mut sender, [1, 2]).await;
    let mut asking = pin!(sender.chunk());
    assert!(is_pending(asking.as_mut()));
    let chunk = receiver.recv().await.expect("sent above");
    assert!(is_pending(asking.as_mut()), "a full chunk is no demand");
    drop(chunk);
    assert_eq!(asking.await.map(|chunk| chunk.room()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_chunk_reaches_an_idle_receiver() {
    let (mut sender, mut busy) = link(size(1, 3));
    let mut idle = busy.clone();
    send(&mut sender, [1, 2, 3]).await;
    let mut chunk = busy.recv().await.expect("sent above");
    let mut idling = pin!(idle.recv());
    assert!(is_pending(idling.as_mut()));
    assert_eq!(chunk.pop(), Some(1));
    busy.offer_back(chunk);
    let rest = idling.await.expect("offered above");
    assert_eq!(read(rest), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_spreads_over_the_idle_receivers() {
    let (mut sender, receiver) = link(size(10, 10));
    let mut workers = JoinSet::new();
    for _ in 0..10 {
        workers.spawn(work(receiver.clone()));
    }
    yield_now().await;
    let began = Instant::now();
    send(&mut sender, 0..10).await;
    drop((sender, receiver));
    assert_eq!(workers.join_all().await.into_iter().sum::<u32>(), 45);
    assert_eq!(began.elapsed(), WORK, "not the work of ten");
}

#[tokio::test(start_paused = true)]
async fn the_link_ends_when_the_last_loaded_chunk_is_emptied() {
    let (mut sender, mut receiver) = link(size(1, 2));
    let mut idle = receiver.clone();
    send(&mut sender, [1, 2]).await;
    drop(sender);
    let mut chunk = receiver.recv().await.expect("sent above");
    let mut idling = pin!(idle.recv());
    assert!(is_pending(idling.as_mut()), "it may be offered back");
    assert_eq!(chunk.pop(), Some(1));
    receiver.offer_back(chunk);
    let rest = idling.await.expect("offered above");
    assert_eq!(read(rest), [2]);
    assert!(receiver.recv().await.is_none());
    assert!(receiver.clone().recv().await.is_none(), "and stays ended");
}

#[tokio::test(start_paused = true)]
async fn the_link_stays_open_while_a_clone_of_the_sender_lives() {
    let (sender, mut receiver) = link(size(1, 1));
    let mut clone = sender.clone();
    drop(sender);
    assert!(is_pending(pin!(receiver.recv())));
    send(&mut clone, [1]).await;
    drop(clone);
    assert_eq!(receiver.recv().await.map(read), Some(vec![1]));
    assert!(receiver.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn senders_that_wait_see_the_last_receiver_leave() {
    let (mut sender, mut receiver) = link::<u32>(size(1, 1));
    send(&mut sender, [1]).await;
    let chunk = receiver.recv().await;
    let (mut other, late) = (sender.clone(), sender.clone());
    let (mut first, mut second) = (pin!(sender.chunk()), pin!(other.chunk()));
    assert!(is_pending(first.as_mut()) && is_pending(second.as_mut()));
    drop(receiver);
    assert!(first.await.is_none() && second.await.is_none());
    drop(chunk);
    assert!(late.clone().chunk().await.is_none(), "and stays gone");
}

#[test]
fn one_chunk_wakes_the_one_that_has_waited_longest() {
    let (mut sender, receiver) = link(size(2, 1));
    let mut ends = [(); 4].map(|()| Waiting::new(&receiver));
    assert!(ends[0].is_pending(), "asked again, it keeps its place");
    try_send(&mut sender, 1);
    assert_eq!(wakes(&ends), [1, 0, 0, 0]);
    try_send(&mut sender, 2);
    assert_eq!(wakes(&ends), [1, 1, 0, 0]);
}

#[test]
fn a_wake_up_passes_on_when_its_receiver_cannot_use_it() {
    let (mut sender, receiver) = link(size(1, 1));
    let mut ends = [(); 4].map(|()| Waiting::new(&receiver));
    try_send(&mut sender, 1);
    ends[0].receiver.stop_waiting();
    assert_eq!(wakes(&ends), [1, 1, 0, 0], "it stopped");
    ends[1].receiver = receiver.clone();
    assert_eq!(wakes(&ends), [1, 1, 1, 0], "it was dropped");
    assert!(!ends[2].is_pending());
    assert_eq!(wakes(&ends), [1, 1, 1, 0], "it was used");
}

#[test]
fn a_receiver_that_stopped_waiting_is_not_woken() {
    let (mut sender, receiver) = link(size(1, 1));
    let mut ends = [(); 2].map(|()| Waiting::new(&receiver));
    ends[0].receiver.stop_waiting();
    try_send(&mut sender, 1);
    assert_eq!(wakes(&ends), [0, 1]);
}

#[test]
fn a_receiver_whose_future_was_dropped_is_not_woken() {
    let (mut sender, receiver) = link(size(1, 1));
    let mut busy = receiver.clone();
    let mut receiving = Box::pin(busy.recv());
    assert!(is_pending(receiving.as_mut()));
    let ends = [(); 1].map(|()| Waiting::new(&receiver));
    drop(receiving);
    try_send(&mut sender, 1);
    assert_eq!(wakes(&ends), [1]);
}

#[test]
fn a_receiver_is_woken_where_it_was_polled_last() {
    let (mut sender, receiver) = link(size(1, 1));
    let mut end = Waiting::new(&receiver);
    assert!(is_pending(pin!(poll_fn(|cx| end.receiver.poll_recv(cx)))));
    try_send(&mut sender, 1);
    assert_eq!(wakes(&[end]), [0], "it was polled by another task since");
}

/// The last handle of a task may be the waker in the line, and its drop drop the task.
#[test]
fn a_waker_may_own_an_end_of_the_same_link() {
    let (_sender, mut receiver) = link::<u32>(size(1, 1));
    let owned = receiver.clone();
    let waker = Waker::from(Arc::new(Owner(Mutex::new(owned))));
    let mut cx = Context::from_waker(&waker);
    assert!(receiver.poll_recv(&mut cx).is_pending());
    drop(waker);
    receiver.stop_waiting();
    assert_eq!(receiver.empty_chunks(), 1);
}

#[tokio::test(start_paused = true)]
async fn credits_return_to_full_when_tasks_are_dropped_at_any_await() {
    for steps in 0..100 {
        let size = size(3, 2);
        let (sender, mut receiver) = link(size);
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            tasks.spawn(send_slowly(sender.clone()));
            tasks.spawn(receive_slowly(receiver.clone()));
        }
        for _ in 0..steps {
            yield_now().await;
        }
        tasks.shutdown().await;
        assert!(link_holds(size, census(&receiver)), "after {steps} steps");
        while receiver.try_recv().is_some() {}
        assert!(
            credit_is_home(size, census(&receiver)),
            "after {steps} steps"
        );
    }
}

#[test]
fn every_item_is_received_once_over_threads() {
    const ITEMS: u64 = 50_000;
    let (sender, receiver) = link(size(3, 2));
    let sending = [sender.clone(), sender].map(|sender| on_a_thread(count_up(sender, ITEMS)));
    let receivers = [receiver.clone(), receiver.clone(), receiver];
    let receiving = receivers.map(|receiver| on_a_thread(sum_up(receiver)));
    let ended = |thread: thread::JoinHandle<_>| thread.join().expect("in time");
    let sent: u64 = sending.map(ended).into_iter().sum();
    let sum: u64 = receiving.map(ended).into_iter().sum();
    assert_eq!(sum, sent);
}

/// Takes one item of a chunk at a time, leaves the rest to others, and works on it.
async fn work(mut receiver: Receiver<u32>) -> u32 {
    let mut sum = 0;
    while let Some(mut chunk) = receiver.recv().await {
        sum += chunk.pop().unwrap_or(0);
        receiver.offer_back(chunk);
        sleep(WORK).await;
    }
    sum
}

async fn send_slowly(mut sender: Sender<u32>) {
    while let Some(mut chunk) = sender.chunk().await {
        while chunk.push(0).is_ok() {
            yield_now().await;
        }
        sender.send(chunk);
    }
}

async fn receive_slowly(mut receiver: Receiver<u32>) {
    while let Some(mut chunk) = receiver.recv().await {
        if chunk.pop().is_some() {
            yield_now().await;
            receiver.offer_back(chunk);
        }
        yield_now().await;
    }
}

async fn count_up(mut sender: Sender<u64>, items: u64) -> u64 {
    for item in 0..items {
        send(&mut sender, [item]).await;
    }
    (0..items).sum()
}

async fn sum_up(mut receiver: Receiver<u64>) -> u64 {
    let mut sum = 0;
    while let Some(mut chunk) = receiver.recv().await {
        sum += chunk.drain().sum::<u64>();
    }
    sum
}

/// A lost wake-up would leave a thread waiting: it gives up after a minute.
fn on_a_thread<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::spawn(|| {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a thread has room for one");
        let task = async { timeout(Duration::from_secs(60), task).await };
        runtime.block_on(task).expect("nobody is forgotten")
    })
}

async fn send<T: std::fmt::Debug>(sender: &mut Sender<T>, items: impl IntoIterator<Item = T>) {
    let mut chunk = sender.chunk().await.expect("someone receives");
    for item in items {
        chunk.push(item).expect("there is room");
    }
    sender.send(chunk);
}

fn try_send(sender: &mut Sender<u32>, item: u32) {
    assert!(!is_pending(pin!(send(sender, [item]))), "there is demand");
}

fn read<T>(mut chunk: Chunk<T>) -> Vec<T> {
    chunk.drain().collect()
}

fn is_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    future.poll(&mut cx).is_pending()
}

/// What is to be seen of a link while nobody holds a chunk.
fn census<T>(receiver: &Receiver<T>) -> Census {
    Census {
        empty: receiver.empty_chunks(),
        full: receiver.full_chunks(),
        ..Census::default()
    }
}

/// A receiver that waits, and how often it was woken.
struct Waiting {
    receiver: Receiver<u32>,
    woken: Arc<Woken>,
}

impl Waiting {
    fn new(receiver: &Receiver<u32>) -> Self {
        let mut waiting = Self {
            receiver: receiver.clone(),
            woken: Arc::default(),
        };
        assert!(waiting.is_pending());
        waiting
    }

    fn is_pending(&mut self) -> bool {
        let waker = Waker::from(self.woken.clone());
        let polled = self.receiver.poll_recv(&mut Context::from_waker(&waker));
        matches!(polled, Poll::Pending)
    }
}

fn wakes(ends: &[Waiting]) -> Vec<usize> {
    let count = |end: &Waiting| end.woken.0.load(Ordering::SeqCst);
    ends.iter().map(count).collect()
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Owner<T>(#[expect(dead_code, reason = "only to be dropped")] Mutex<Receiver<T>>);

impl<T: Send + 'static> Wake for Owner<T> {
    fn wake(self: Arc<Self>) {}
}

fn size(buffers: usize, max_demand: usize) -> Size {
    let of = |number| NonZeroUsize::new(number).expect("a link holds something");
    Size {
        buffers: of(buffers),
        max_demand: of(max_demand),
    }
}
