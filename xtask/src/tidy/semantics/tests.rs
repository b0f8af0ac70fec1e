//! Tests of the rule about the table of cases.

use super::*;

const SOURCE: &str = "\
//! Tests of the drain.
#[test]
fn drain_flushes_open_batches() {}

fn helper() {}
";

fn shown(document: &str) -> Vec<String> {
    let files = [
        (DOCUMENT, document),
        ("crates/towpath/tests/it/drain.rs", SOURCE),
    ];
    let found = check(&Workspace::of_files(&files));
    found.iter().map(ToString::to_string).collect()
}

fn with_test(cell: &str) -> String {
    format!("# Cases\n\n| case | what | test |\n|---|---|---|\n| 7 | it drains | {cell} |\n")
}

#[test]
fn a_test_may_be_named_alone_with_its_module_or_with_its_file() {
    for name in [
        "`drain_flushes_open_batches`",
        "`drain::drain_flushes_open_batches`",
        "`drain.rs::drain_flushes_open_batches`, `drain_flushes_open_batches`",
        "`crates/towpath/tests/it/drain.rs::drain_flushes_open_batches`",
    ] {
        assert_eq!(shown(&with_test(name)), [""; 0], "{name}");
    }
}

#[test]
fn a_test_that_does_not_exist_is_reported_at_its_row() {
    let found = shown(&with_test("`drain_flushes_open_batches` `gone`"));
    assert_eq!(
        found,
        ["docs/semantics.md:5: case 7: there is no function `gone`"]
    );
}

#[test]
fn a_case_without_a_test_is_reported() {
    assert_eq!(
        shown(&with_test("later")),
        ["docs/semantics.md:5: case 7 names no test"]
    );
    let cut_short = "| case | what | test |\n|---|---|---|\n| 8 | it drains |\n";
    assert_eq!(
        shown(cut_short),
        ["docs/semantics.md:3: case 8 names no test"]
    );
}

#[test]
fn a_function_that_is_no_test_is_reported() {
    let found = shown(&with_test("`drain::helper`"));
    assert_eq!(
        found,
        ["docs/semantics.md:5: case 7: `helper` is a function, but no test"]
    );
}

#[test]
fn a_test_in_another_place_is_reported_with_its_place() {
    let found = shown(&with_test("`crash::drain_flushes_open_batches`"));
    assert_eq!(
        found,
        [
            "docs/semantics.md:5: case 7: `drain_flushes_open_batches` is not in `crash`, \
          but in `crates/towpath/tests/it/drain.rs`"
        ]
    );
}

#[test]
fn tables_with_other_columns_are_not_read() {
    let later = "\n| case | when |\n|---|---|\n| 10 | with the policies |\n";
    let document = with_test("`drain_flushes_open_batches`") + later;
    assert_eq!(shown(&document), [""; 0]);
}

#[test]
fn a_missing_document_or_table_is_a_violation() {
    let missing = check(&Workspace::default());
    assert_eq!(
        missing,
        [Violation::new(DOCUMENT, 1, "the file is missing")]
    );
    assert_eq!(
        shown("# Cases\n"),
        ["docs/semantics.md:1: no table has rows and the columns `case` and `test`"]
    );
}
