//! A queue on a clock of our own: what is available when, and to whom it is lent.

mod model;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use rusqlite::Connection;

use super::{AtMost, Book, Claim, Depth, Lent, Peeked, Room, Settlement, What};
use crate::{Enqueued, Entry, SqliteQueueError, SqliteQueueOptions, clock::Clock, queue::schema};

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);

/// A queue in memory.
struct Table {
    connection: Connection,
    path: Arc<Path>,
    wall: Arc<AtomicI64>,
    clock: Clock,
    options: SqliteQueueOptions,
}

impl Table {
    fn new() -> Self {
        let path = Arc::from(Path::new("memory"));
        let connection = Connection::open_in_memory().unwrap();
        schema::prepare(&path, &connection).unwrap();
        let wall = Arc::new(AtomicI64::new(1_000_000));
        let told = wall.clone();
        Self {
            connection,
            path,
            wall,
            clock: Clock::new(move || told.load(Relaxed)),
            options: SqliteQueueOptions::default(),
        }
    }

    /// The wall clock goes on, or back.
    fn pass(&self, millis: i64) {
        self.wall.fetch_add(millis, Relaxed);
    }

    fn within<T>(&self, work: impl FnOnce(&mut Book<'_>) -> T) -> T {
        let mut book = Book::open(&self.connection, &self.path, &self.clock).unwrap();
        let worked = work(&mut book);
        book.close().unwrap();
        worked
    }

    fn enqueue(&self, entries: &[Entry]) -> Result<Vec<Enqueued>, SqliteQueueError> {
        self.within(|book| book.enqueue(entries, Room::ForAll, &self.options))
    }

    fn put(&self, entry: impl Into<Entry>) -> u64 {
        self.enqueue(&[entry.into()]).unwrap()[0].id
    }

    fn claim(&self, at_most: usize) -> Claim {
        self.claim_bytes(at_most, u64::MAX)
    }

    fn claim_bytes(&self, messages: usize, bytes: u64) -> Claim {
        let at_most = AtMost { messages, bytes };
        self.within(|book| book.claim(at_most, LEASE)).unwrap()
    }

    fn lent(&self, at_most: usize) -> Vec<Lent> {
        self.claim(at_most)
            .messages
            .iter()
            .map(|message| message.lent)
            .collect()
    }

    fn settle(&self, lent: Lent, what: What) -> bool {
        let run = [Settlement { lent, what }];
        self.within(|book| book.settle(&run)).unwrap() == 1
    }

    fn peek(&self) -> Peeked {
        Peeked::look(&self.connection, &self.clock).unwrap()
    }

    fn depth(&self) -> Depth {
        let depth = self.peek().depth;
        let counted = "SELECT count(*), coalesce(sum(bytes), 0) FROM towpath_message";
        let (messages, bytes) = self
            .connection
            .query_row(counted, (), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .unwrap();
        let counted = [messages, bytes].map(|count| u64::try_from(count).unwrap());
        assert_eq!([depth.messages, depth.bytes], counted);
        depth
    }
}

fn back_after(after: Duration) -> What {
    What::Return {
        after,
        extra: 0,
        trace: None,
    }
}

fn ids(claim: &Claim) -> Vec<i64> {
    claim
        .messages
        .iter()
        .map(|message| message.lent.id)
        .collect()
}

#[test]
fn messages_come_in_the_order_in_which_they_became_available() {
    let table = Table::new();
    table.put(Entry::new("late").delay(SECOND));
    table.put("first");
    table.put("second");
    assert_eq!(ids(&table.claim(10)), [2, 3]);
    table.pass(999);
    assert_eq!(table.lent(10), []);
    table.pass(1);
    assert_eq!(ids(&table.claim(10)), [1]);
}

#[test]
fn what_is_lent_comes_to_nobody_else_until_its_lease_is_over() {
    let table = Table::new();
    table.put("a");
    let first = table.lent(1)[0];
    assert_eq!(table.peek().next_in, Some(LEASE));
    table.pass(29_999);
    assert_eq!(table.lent(1), []);
    table.pass(1);
    assert!(table.peek().is_due());
    let again = table.claim(1).messages.remove(0);
    assert_eq!((again.lent.id, again.attempts), (first.id, 2));
    assert!(again.lent.lease > first.lease);
}

#[test]
fn who_is_too_late_settles_nothing_once_somebody_else_has_the_message() {
    let table = Table::new();
    table.put("a");
    let late = table.lent(1)[0];
    table.pass(30_000);
    let new = table.lent(1)[0];
    assert!(!table.settle(late, What::Remove));
    assert!(!table.settle(late, back_after(Duration::ZERO)));
    table
        .within(|book| book.extend(&[late], LEASE * 9))
        .unwrap();
    assert_eq!(table.peek().next_in, Some(LEASE));
    assert_eq!(table.depth().messages, 1);
    assert!(table.settle(new, What::Remove));
    assert!(!table.settle(new, What::Remove));
    assert_eq!(table.depth(), Depth::default());
}

#[test]
fn who_is_too_late_settles_as_long_as_nobody_else_has_the_message() {
    let table = Table::new();
    table.put("a");
    let late = table.lent(1)[0];
    table.pass(300_000);
    assert!(table.settle(late, What::Remove));
    assert_eq!(table.depth().messages, 0);
}

#[test]
fn a_lease_that_is_extended_lasts_from_then_on() {
    let table = Table::new();
    table.put("a");
    let lent = table.lent(1);
    table.pass(20_000);
    table.within(|book| book.extend(&lent, LEASE)).unwrap();
    table.pass(29_999);
    assert_eq!(table.lent(1), []);
    assert!(table.settle(lent[0], What::Remove));
}

#[test]
fn what_is_given_back_comes_after_its_delay_with_its_attempts_and_the_headers_of_its_trace() {
    let table = Table::new();
    let headers = [("tenant", "a"), ("traceparent", "old")]
        .into_iter()
        .collect();
    table.put(Entry::new("a").key("k").headers(headers));
    let lent = table.lent(1)[0];
    let what = What::Return {
        after: SECOND,
        extra: 2,
        trace: Some([("traceparent", "new")].into_iter().collect()),
    };
    assert!(table.settle(lent, what));
    table.pass(999);
    assert_eq!(table.lent(1), []);
    table.pass(1);
    let again = table.claim(1).messages.remove(0);
    assert_eq!(
        (again.attempts, again.key.as_deref(), &again.payload[..]),
        (4, Some("k"), &b"a"[..])
    );
    let headers = ["tenant", "traceparent"].map(|name| again.headers.get(name));
    assert_eq!(headers, [Some("a"), Some("new")]);
}

#[test]
fn what_was_claimed_and_not_handed_out_is_as_if_it_had_not_been_claimed() {
    let table = Table::new();
    table.put("a");
    table.put("b");
    let claim = table.claim(1);
    table.pass(1000);
    table.within(|book| book.release(&claim.messages)).unwrap();
    let again = table.claim(2);
    assert_eq!(ids(&again), [1, 2]);
    assert_eq!(again.messages[0].attempts, 1);
}

#[test]
fn a_full_queue_takes_all_of_a_call_or_nothing_and_says_what_it_holds() {
    let mut table = Table::new();
    table.options = table.options.max_messages(3).max_bytes(10);
    table.enqueue(&["ab".into(), "cd".into()]).unwrap();
    let error = table.enqueue(&["e".into(), "f".into()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "memory: the queue is full: it holds 2 messages of 4 bytes, and takes 3 \
         (`max_messages`) of 10 (`max_bytes`)"
    );
    let error = table.enqueue(&["1234567".into()]).unwrap_err();
    assert!(
        matches!(error, SqliteQueueError::Full { bytes: 4, .. }),
        "{error}"
    );
    table.put("123456");
    let held = Depth {
        messages: 3,
        bytes: 10,
    };
    assert_eq!(table.depth(), held);
}

#[test]
fn what_fits_goes_in_when_some_will_do() {
    let mut table = Table::new();
    table.options = table.options.max_messages(3);
    let entries: Vec<Entry> = (0..5).map(|n| Entry::new(n.to_string())).collect();
    let some =
        |table: &Table| table.within(|book| book.enqueue(&entries, Room::ForSome, &table.options));
    assert_eq!(some(&table).unwrap().len(), 3);
    assert!(matches!(
        some(&table),
        Err(SqliteQueueError::Full { messages: 3, .. })
    ));
    assert_eq!(table.depth().messages, 3);
}

#[test]
fn an_id_that_is_remembered_is_not_put_in_again_also_when_its_message_is_done() {
    let table = Table::new();
    let entry = || Entry::new("a").dedup_id("x");
    let both = table.enqueue(&[entry(), entry(), "b".into()]).unwrap();
    let known: Vec<_> = both.iter().map(|done| (done.id, done.is_new)).collect();
    assert_eq!(known, [(1, true), (1, false), (2, true)]);
    for lent in table.lent(2) {
        assert!(table.settle(lent, What::Remove));
    }
    assert!(!table.enqueue(&[entry()]).unwrap()[0].is_new);
    table.pass(3_600_000);
    assert!(table.enqueue(&[entry()]).unwrap()[0].is_new);
}

#[test]
fn a_full_queue_still_knows_what_it_has() {
    let mut table = Table::new();
    table.options = table.options.max_messages(1);
    let entry = || Entry::new("a").dedup_id("x");
    table.put(entry());
    assert!(!table.enqueue(&[entry()]).unwrap()[0].is_new);
}

#[test]
fn ids_are_forgotten_with_time() {
    let table = Table::new();
    for id in 0..500 {
        table.put(Entry::new("").dedup_id(id.to_string()));
        table.pass(10_000);
    }
    let remembered = "SELECT count(*) FROM towpath_dedup";
    let count: i64 = table
        .connection
        .query_row(remembered, (), |row| row.get(0))
        .unwrap();
    assert_eq!(count, 360);
}

#[test]
fn a_clock_that_goes_back_stops_nothing() {
    let table = Table::new();
    table.put("a");
    let lent = table.lent(1)[0];
    table.put(Entry::new("b").delay(SECOND));
    table.pass(-3_600_000);
    assert!(
        table.peek().is_due(),
        "whoever looks must claim, so that the time goes on"
    );
    table.put("c");
    assert_eq!(ids(&table.claim(10)), [3]);
    table.pass(1000);
    assert_eq!(ids(&table.claim(10)), [2]);
    table.pass(29_000);
    assert_eq!(ids(&table.claim(1)), [lent.id]);
}

#[test]
fn a_clock_that_jumps_ends_leases_early_and_loses_nothing() {
    let table = Table::new();
    table.put("a");
    let lent = table.lent(1)[0];
    table.pass(3_600_000);
    let again = table.lent(1)[0];
    table.pass(-3_600_000);
    assert!(!table.settle(lent, What::Remove));
    assert!(table.settle(again, What::Remove));
}

#[test]
fn a_claim_ends_before_the_message_that_would_make_it_too_heavy() {
    let table = Table::new();
    for bytes in [4, 4, 3, 0, 1, 9] {
        table.put(vec![7; bytes]);
    }
    let headers = [("more", "bytes")].into_iter().collect();
    table.put(Entry::new("").key("key").headers(headers));
    // Exactly as much as may be; one byte less; and no fewer messages than one.
    assert_eq!(ids(&table.claim_bytes(9, 8)), [1, 2]);
    assert_eq!(ids(&table.claim_bytes(9, 3)), [3, 4]);
    assert_eq!(ids(&table.claim_bytes(9, 9)), [5]);
    assert_eq!(ids(&table.claim_bytes(9, 20)), [6]);
    assert_eq!(ids(&table.claim_bytes(9, 11)), [7]);
    assert!(table.claim_bytes(9, 1).messages.is_empty());
}

#[test]
fn what_is_too_heavy_for_a_claim_is_the_first_of_the_next_and_was_no_attempt() {
    let table = Table::new();
    for bytes in [1, 1, 7, 1, 1] {
        table.put(vec![7; bytes]);
    }
    let mut came = Vec::new();
    loop {
        let claim = table.claim_bytes(3, 5);
        if claim.messages.is_empty() {
            break;
        }
        assert!(claim.messages.iter().all(|message| message.attempts == 1));
        came.push(ids(&claim));
    }
    assert_eq!(came, [vec![1, 2], vec![3], vec![4, 5]]);
}

#[test]
fn delays_beyond_all_time_are_no_overflow() {
    let table = Table::new();
    table.put(Entry::new("never").delay(Duration::MAX));
    table.put("a");
    let lent = table.lent(10);
    assert_eq!(lent.len(), 1);
    assert!(table.settle(lent[0], back_after(Duration::MAX)));
    assert_eq!(table.lent(10), []);
}
