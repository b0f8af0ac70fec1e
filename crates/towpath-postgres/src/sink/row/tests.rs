//! What becomes of values on their way into rows.

use towpath_core::{BatchInfo, Trigger};

use super::*;

fn columns(types: &[Type]) -> Columns {
    let names = (0..types.len()).map(|index| format!("c{index}"));
    Columns {
        names: names.collect(),
        types: types.to_vec(),
    }
}

fn batch<T>(items: Vec<T>, origins: Vec<Origin>) -> Batch<T> {
    let info = BatchInfo::new("rows".into(), items.len(), Trigger::Count);
    Batch::new(items, origins, info)
}

fn encode<T>(
    items: Vec<T>,
    types: &[Type],
    write: impl Fn(&T, &mut Row<'_>) + Send + Sync + 'static,
) -> (Rows, Vec<(usize, RowError)>) {
    Rows::encode(&batch(items, Vec::new()), &columns(types), &write, 1_000)
}

#[test]
fn the_bytes_of_a_row_are_what_copy_takes_and_its_cells_the_values() {
    let (rows, failed) = encode(
        vec![(1i32, Some("ab")), (2, None)],
        &[Type::INT4, Type::TEXT],
        {
            |(number, text), row| {
                row.add(number).add(text);
            }
        },
    );
    assert!(failed.is_empty());
    let first = [0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, b'a', b'b'];
    let second = [0, 2, 0, 0, 0, 4, 0, 0, 0, 2, 255, 255, 255, 255];
    assert_eq!(rows.runs(&[0, 1]), [[&first[..], &second[..]].concat()]);
    assert_eq!(rows.runs(&[1]), [&second[..]]);
    let cells: Vec<_> = rows.cells(1).collect();
    assert_eq!(cells, [Cell(Some(&[0, 0, 0, 2])), Cell(None)]);
}

#[test]
fn rows_that_are_no_neighbours_are_runs_of_their_own() {
    let (rows, _) = encode(vec![0i16, 1, 2, 3], &[Type::INT2], |number, row| {
        row.add(number);
    });
    let sizes = |places: &[usize]| -> Vec<_> { rows.runs(places).iter().map(Bytes::len).collect() };
    assert_eq!(sizes(&[0, 1, 3]), [16, 8]);
    assert_eq!(sizes(&[1, 2, 3]), [24]);
    assert_eq!(sizes(&[]), [0; 0]);
}

#[test]
fn a_row_that_cannot_be_written_fails_alone_and_its_error_names_the_column() {
    let items = vec!["fine", "count", "type", "panic", "long", "fine"];
    let types = [Type::TEXT, Type::INT8];
    let (rows, failed) = encode(items, &types, |word: &&str, row| match *word {
        "count" => drop(row.add(word)),
        "type" => drop(row.add(word).add("text")),
        "panic" => panic!("no row for this one"),
        "long" => drop(row.add("x".repeat(1_000)).add(1i64)),
        _ => drop(row.add(word).add(1i64)),
    });
    assert_eq!(rows.all(), [0, 5]);
    let told: Vec<_> = failed
        .iter()
        .map(|(place, error)| format!("{place}: {error}"))
        .collect();
    assert_eq!(told[0], "1: the row has 1 values for 2 columns");
    assert!(told[1].contains("column c1 of type int8"), "{}", told[1]);
    assert_eq!(told[2], "3: panicked: no row for this one");
    assert!(told[3].contains("at most 1000 are allowed"), "{}", told[3]);
    assert_eq!(rows.runs(&[0, 5]).len(), 1);
}

#[test]
fn more_values_than_columns_are_an_error_and_no_panic() {
    let (_, failed) = encode(vec![()], &[Type::INT4], |(), row| {
        row.add(1i32).add(2i32).add_null();
    });
    assert!(matches!(
        failed[0].1,
        RowError::Count {
            found: 3,
            expected: 1
        }
    ));
}

#[test]
fn headers_go_into_columns_of_any_kind_of_json() {
    let origin = Origin::default().attempt(3);
    let batch = batch(vec![()], vec![origin]);
    let columns = columns(&[Type::JSON, Type::JSONB, Type::TEXT]);
    let write = |(): &(), row: &mut Row<'_>| {
        assert_eq!(row.origin().unwrap().attempt, 3);
        let given = [("towpath-attempt", "9")].into_iter().collect();
        row.add_headers(&given)
            .add_headers(&given)
            .add_headers(&given);
    };
    let (rows, failed) = Rows::encode(&batch, &columns, &write, 1_000);
    assert!(failed.is_empty(), "{failed:?}");
    let cells: Vec<_> = rows.cells(0).collect();
    let json = br#"{"towpath-attempt":"3"}"#;
    assert_eq!(cells[0], Cell(Some(json)));
    assert_eq!(cells[1], Cell(Some(&[&[1][..], json].concat())));
}
