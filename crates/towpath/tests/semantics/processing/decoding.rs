//! Payloads that cannot be decoded: a dead letter with what came, and the stream goes on.

use towpath::{BoxError, DeadLetter, Flow};
use towpath_test::{Recorder, TestSource, check};

fn number(raw: &[u8]) -> Result<u32, BoxError> {
    Ok(std::str::from_utf8(raw)?.parse()?)
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_one_dead_letter_with_its_raw_bytes() {
    let raw: [&[u8]; 4] = [b"1", b"\xff\xfe", b"nine", b"4"];
    let (source, outcomes) = TestSource::of(raw.map(<[u8]>::to_vec));
    let (recorder, letters) = (Recorder::new(), Recorder::<DeadLetter>::new());
    let report = Flow::from(source)
        .decode(|raw: &Vec<u8>| number(raw))
        .sink(recorder.sink("write"))
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items(), [1, 4]);
    let letters = letters.items();
    let originals: Vec<_> = letters
        .iter()
        .map(|l| {
            l.original
                .as_ref()
                .and_then(|o| o.downcast_ref::<Vec<u8>>().cloned())
        })
        .collect();
    assert_eq!(
        originals,
        [Some(b"\xff\xfe".to_vec()), Some(b"nine".to_vec())]
    );
    let places: Vec<_> = letters
        .iter()
        .map(|l| l.origin.position.map(|p| p.offset))
        .collect();
    assert_eq!(places, [Some(1), Some(2)]);
    assert!(letters[1].cause.chain()[0].contains("invalid digit"));
    assert_eq!(outcomes.count("rejected"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_holds_the_payload_as_it_left_its_source_and_not_as_it_was_changed() {
    let (source, _) = TestSource::new(["7", "x"].map(str::to_owned))
        .keep_original()
        .build();
    let letters = Recorder::<DeadLetter>::new();
    let report = Flow::from(source)
        .map(|raw| format!("{raw}{raw}"))
        .try_map(|text| text.parse::<u32>())
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();

    check(&report);
    let letters = letters.items();
    assert_eq!(letters.len(), 1);
    let original = letters[0].original.as_ref().unwrap();
    assert_eq!(original.downcast_ref::<String>().unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_decoder_that_panics_fails_one_message() {
    let (source, outcomes) = TestSource::of([1_u32, 0, 2]);
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .decode(|n: &u32| Ok::<_, BoxError>(10 / *n))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items(), [10, 5]);
    assert_eq!(outcomes.only(1).word(), "rejected");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_while_its_dead_letter_cannot_be_written() {
    let (source, outcomes) = TestSource::of([b"x".to_vec(), b"2".to_vec()]);
    let letters = Recorder::<DeadLetter>::new().hang_on_batch(0);
    let running = Flow::from(source)
        .decode(|raw: &Vec<u8>| number(raw))
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .start()
        .await
        .unwrap();

    letters.wait_for_batches(1).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(outcomes.of(0).is_empty());
    letters.release();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.only(0).word(), "rejected");
    assert_eq!(letters.items().len(), 1);
}
