//! Files that can be opened, and those that cannot.

use towpath_core::{BoxError, Producer as _, find};

use super::*;
use crate::{
    lines::Lines,
    test_kit::{Engine, chain, file, gzip, truncated_gzip},
};

async fn open_error(path: &Path) -> BoxError {
    Lines::new(path).open().await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let error = open_error(&folder.path().join("none.csv")).await;
    assert!(matches!(
        find::<OpenError>(&*error),
        Some(OpenError::Missing { path, .. }) if path.ends_with("none.csv")
    ));
    assert!(chain(&*error).contains("none.csv does not exist"));
}

#[tokio::test(start_paused = true)]
async fn a_directory_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let error = open_error(folder.path()).await;
    assert!(matches!(
        find::<OpenError>(&*error),
        Some(OpenError::Directory { path }) if path == folder.path()
    ));
}

#[tokio::test(start_paused = true)]
async fn a_receive_without_open_opens_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = Engine::new(Lines::new(folder.path()));
    assert!(engine.receive(1).await.is_err());
    let text = file("a\nb\n");
    let mut engine = Engine::new(Lines::new(text.path()));
    assert_eq!(engine.all(8).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_progress_goes_from_nothing_to_the_length_of_the_file() {
    for bytes in [b"a line\n".repeat(10_000), gzip(b"a line\n".repeat(10_000))] {
        let text = file(&bytes);
        let lines = Lines::new(text.path());
        let progress = lines.progress();
        assert_eq!((progress.read(), progress.total()), (0, None));
        let mut engine = Engine::new(lines);
        assert_eq!(engine.all(100).await.len(), 10_000);
        let length = bytes.len() as u64;
        assert_eq!((progress.read(), progress.total()), (length, Some(length)));
    }
}

#[tokio::test(start_paused = true)]
async fn gzip_is_told_by_its_first_bytes_and_may_have_several_parts() {
    let parts = [gzip("one\ntwo\n"), gzip(""), gzip("three\n")].concat();
    let text = file(parts);
    let lines = Engine::new(Lines::new(text.path())).all(8).await;
    let text: Vec<_> = lines.iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(text, ["one", "two", "three"]);
}

#[test]
fn a_file_of_one_byte_is_no_gzip() {
    let text = file([GZIP_MAGIC[0]]);
    let mut input = Input::open(text.path(), &FileProgress::default()).unwrap();
    let mut bytes = Vec::new();
    input.bytes.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, &GZIP_MAGIC[..1]);
}

#[test]
fn a_regular_file_is_read_in_blocks_and_anything_else_as_it_comes() {
    let text = file("");
    let input = Input::open(text.path(), &FileProgress::default()).unwrap();
    assert_eq!(input.block, BLOCK);
    #[cfg(unix)]
    {
        let input = Input::open(Path::new("/dev/null"), &FileProgress::default()).unwrap();
        assert_eq!(input.block, 1);
    }
}

#[test]
fn a_gzip_that_ends_within_its_header_fails_when_it_is_read() {
    let text = file(truncated_gzip(""));
    let mut input = Input::open(text.path(), &FileProgress::default()).unwrap();
    let error = input.bytes.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}
