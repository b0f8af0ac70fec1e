//! Calls that are worked on together, and what becomes of them when the file fails.

use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::Sync;

fn open(folder: &TempDir) -> SqliteQueue {
    let options = SqliteQueueOptions::default()
        .sync(Sync::Off)
        .busy_timeout(Duration::from_millis(100));
    SqliteQueue::open(folder.path().join("a.queue"), options).unwrap()
}

/// Lets the file be no larger than so many pages beyond what it has; `None` lifts that.
async fn limit(queue: &SqliteQueue, pages: Option<i64>) {
    let limit = queue.call(move |book| {
        book.limit_pages(pages);
        Ok(())
    });
    limit.send().await.unwrap().wait().await.unwrap();
}

fn is_full(error: &SqliteQueueError) -> bool {
    matches!(error, SqliteQueueError::File(error) if error.kind == SqliteErrorKind::DiskFull)
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_what_was_in_stays_in() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder);
    queue.enqueue_many(["a", "b"]).await.unwrap();
    limit(&queue, Some(10)).await;
    let error = queue.enqueue(vec![7; 1 << 20]).await.unwrap_err();
    assert!(is_full(&error), "{error}");
    assert!(
        error.to_string().ends_with("a.queue: the disk is full"),
        "{error}"
    );
    assert_eq!(queue.depth().await.unwrap().messages, 2);
    limit(&queue, None).await;
    queue.enqueue(vec![7; 1 << 20]).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().messages, 3);
}

#[tokio::test]
async fn a_message_for_which_the_disk_has_no_room_does_not_keep_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder);
    limit(&queue, Some(20)).await;
    let (large, small) = tokio::join!(
        queue.enqueue(vec![7; 1 << 20]),
        queue.enqueue_many(["a", "b", "c"]),
    );
    assert!(is_full(&large.unwrap_err()));
    assert_eq!(small.unwrap().len(), 3);
    assert_eq!(queue.depth().await.unwrap().messages, 3);
}

#[tokio::test]
async fn calls_that_come_together_are_one_transaction_and_each_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteQueueOptions::default()
        .sync(Sync::Off)
        .max_messages(20);
    let queue = SqliteQueue::open(folder.path().join("a.queue"), options).unwrap();
    // The thread waits here, so that all that follows comes together.
    let (open, gate) = async_channel::bounded::<()>(1);
    let holding = queue.call(move |_| {
        gate.recv_blocking().ok();
        Ok(())
    });
    let holding = holding.send().await.unwrap();
    let news = queue.news();
    let mut replies = Vec::new();
    for n in 0..30 {
        let options = queue.0.options.clone();
        let entries = [Entry::new(n.to_string())];
        let call = queue.call(move |book| book.enqueue(&entries, Room::ForAll, &options));
        replies.push(call.send().await.unwrap());
    }
    open.send(()).await.unwrap();
    holding.wait().await.unwrap();
    let mut refused = 0;
    for reply in replies {
        refused += usize::from(matches!(
            reply.wait().await,
            Err(SqliteQueueError::Full { .. })
        ));
    }
    assert_eq!((refused, queue.depth().await.unwrap().messages), (10, 20));
    assert_eq!(*news.borrow(), 1, "one commit for all of them");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder);
    queue.enqueue("a").await.unwrap();
    let (open, gate) = async_channel::bounded::<()>(1);
    let holding = queue.call(move |_| {
        gate.recv_blocking().ok();
        Ok(())
    });
    let holding = holding.send().await.unwrap();
    let at_most = AtMost {
        messages: 10,
        bytes: u64::MAX,
    };
    drop(queue.claim(at_most, Duration::from_secs(60)).await.unwrap());
    open.send(()).await.unwrap();
    holding.wait().await.unwrap();
    let claim = queue
        .claim(at_most, Duration::from_secs(60))
        .await
        .unwrap()
        .wait()
        .await;
    assert_eq!(claim.unwrap().messages.len(), 1);
}

#[tokio::test]
async fn a_file_that_others_keep_locked_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder);
    let other = rusqlite::Connection::open(queue.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = queue.enqueue("a").await.unwrap_err();
    assert!(error.to_string().contains("busy_timeout"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    queue.enqueue("a").await.unwrap();
}

#[tokio::test]
async fn what_must_last_waits_for_the_disk_and_a_claim_does_not() {
    let levels = async |sync| {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteQueueOptions::default().sync(sync);
        let queue = SqliteQueue::open(folder.path().join("a.queue"), options).unwrap();
        let level = |book: &mut book::Book<'_>| Ok(book.pragma("synchronous"));
        let lasting = queue
            .call(level)
            .send()
            .await
            .unwrap()
            .wait()
            .await
            .unwrap();
        let passing = queue
            .passing(level)
            .send()
            .await
            .unwrap()
            .wait()
            .await
            .unwrap();
        let again = queue
            .call(level)
            .send()
            .await
            .unwrap()
            .wait()
            .await
            .unwrap();
        assert_eq!(lasting, again);
        (lasting, passing)
    };
    assert_eq!(levels(Sync::Extra).await, (3, 1));
    assert_eq!(levels(Sync::Full).await, (2, 1));
    assert_eq!(levels(Sync::Normal).await, (1, 1));
    assert_eq!(levels(Sync::Off).await, (0, 0));
}
