//! What can be opened, and what is said about the rest.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

const TABLE: &[u8] = b"faa,name\nEWR,Newark\nJFK,Kennedy\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn contents(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let file = file(bytes);
    let mut read = Vec::new();
    open(file.path()).unwrap().read_to_end(&mut read)?;
    Ok(read)
}

fn table_error(bytes: &[u8]) -> InputError {
    Rows::open(file(bytes).path()).unwrap_err()
}

#[test]
fn gzip_is_told_by_its_first_bytes_and_not_by_its_name() {
    assert_eq!(contents(TABLE).unwrap(), TABLE);
    assert_eq!(contents(&gzip(TABLE)).unwrap(), TABLE);
}

#[test]
fn gzip_files_in_a_row_are_one_file() {
    let (first, second) = TABLE.split_at(12);
    let both = [gzip(first), gzip(second)].concat();
    assert_eq!(contents(&both).unwrap(), TABLE);
}

#[test]
fn a_file_shorter_than_the_magic_bytes_is_plain() {
    for short in [&b""[..], b"\x1f"] {
        assert_eq!(contents(short).unwrap(), short);
    }
}

#[test]
fn the_count_of_bytes_taken_reaches_the_size_of_the_file() {
    for bytes in [TABLE.to_vec(), gzip(TABLE)] {
        let file = file(&bytes);
        let mut input = open(file.path()).unwrap();
        io::copy(&mut input, &mut io::sink()).unwrap();
        assert_eq!(
            (input.taken.get(), input.size),
            (bytes.len() as u64, bytes.len() as u64)
        );
    }
}

#[test]
fn a_truncated_gzip_is_an_error_and_not_an_end() {
    let whole = gzip(TABLE);
    for end in 2..whole.len() {
        assert!(contents(&whole[..end]).is_err(), "cut to {end} bytes");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = open(Path::new("no/such/file.csv")).err().unwrap();
    assert_eq!(error.to_string(), "cannot open `no/such/file.csv`");
}

#[test]
fn a_directory_is_called_one() {
    let error = open(Path::new(env!("CARGO_MANIFEST_DIR"))).err().unwrap();
    assert!(matches!(error, InputError::Directory { .. }), "{error}");
}

#[test]
fn an_empty_file_has_no_header() {
    for empty in [&b""[..], b"\n\n", &gzip(b"")] {
        let error = table_error(empty);
        assert!(matches!(error, InputError::Empty { .. }), "{error}");
    }
}

#[test]
fn a_header_cut_short_by_the_end_of_the_gzip_is_an_error() {
    let whole = gzip(TABLE);
    let error = table_error(&whole[..12]);
    assert!(
        matches!(error, InputError::Read { line: 0, .. }),
        "{error:?}"
    );
}

#[test]
fn columns_are_found_in_any_order_and_every_missing_one_is_named() {
    let header = ByteRecord::from(vec!["b", "extra", "a"]);
    assert_eq!(locate(&header, &["a", "b"]), Ok([2, 0]));
    let missing = locate(&header, &["c", "a", "d"]).unwrap_err();
    assert_eq!(missing.to_string(), "it has no column c, d");
}

/// Line and fields of every row.
fn rows(bytes: &[u8]) -> Vec<(u64, Vec<String>)> {
    let mut rows = Rows::open(file(bytes).path()).unwrap();
    let mut row = ByteRecord::new();
    let mut all = Vec::new();
    while let Some(line) = rows.next(&mut row).unwrap() {
        let fields = row
            .iter()
            .map(|field| String::from_utf8_lossy(field).into_owned());
        all.push((line, fields.collect()));
    }
    all
}

fn lines(bytes: &[u8]) -> Vec<u64> {
    rows(bytes).into_iter().map(|(line, _)| line).collect()
}

#[test]
fn lines_are_counted_from_one_and_with_the_header() {
    assert_eq!(lines(b"a,b\n1,2\n3,4"), [2, 3]);
}

#[test]
fn blank_lines_are_no_rows_and_are_counted() {
    assert_eq!(lines(b"a,b\n\n\n1,2\n\n3,4\n\n"), [4, 6]);
    assert_eq!(lines(b"a,b\r\n\r\n1,2\r\n"), [3]);
}

#[test]
fn a_row_of_several_lines_is_named_by_its_first() {
    assert_eq!(lines(b"a,b\n\n1,\"x\ny\nz\"\n3,4\n"), [3, 6]);
}

#[test]
fn a_row_whose_quote_is_never_closed_is_named_by_its_first_line() {
    assert_eq!(lines(b"a,b\n1,2\n3,\"4\n5,6\n"), [2, 3]);
}

#[test]
fn lines_that_end_in_cr_lf_give_the_same_rows() {
    let text = "a,b\n1,2\n3,\"4\"\n5\n";
    let windows = text.replace('\n', "\r\n");
    assert_eq!(rows(windows.as_bytes()), rows(text.as_bytes()));
    let header = file(windows.as_bytes());
    let header = Rows::open(header.path()).unwrap();
    assert_eq!(header.header(), &ByteRecord::from(vec!["a", "b"]));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name() {
    for bytes in [b"\xef\xbb\xbfa,b\n".to_vec(), gzip(b"\xef\xbb\xbfa,b\n")] {
        let rows = Rows::open(file(&bytes).path()).unwrap();
        assert_eq!(rows.header().get(0), Some(&b"a"[..]));
    }
}
