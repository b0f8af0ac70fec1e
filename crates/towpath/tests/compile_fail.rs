//! The commonest mistakes do not compile, and the compiler's words lead to them.
//!
//! Compilers word things differently, and by the crates there are: the words are compared on
//! the version that wrote them, with all features. Elsewhere, that the mistakes do not compile
//! is all that is asked.

use std::{env, fs, path::Path, path::PathBuf, process::Command};

use trybuild::TestCases;

/// The compiler that wrote the `.stderr` files.
const WRITTEN_BY: &str = "rustc 1.95.";
/// With them come crates whose names turn up in the words.
const HAS_ALL_FEATURES: bool = cfg!(all(feature = "http", feature = "otlp"));
/// Where the cases are, in the process that is to forget the words.
const COPIES: &str = "TOWPATH_COMPILE_FAIL_COPIES";

#[test]
fn the_commonest_mistakes_do_not_compile() {
    if let Some(copies) = env::var_os(COPIES) {
        check(Path::new(&copies));
    } else if HAS_ALL_FEATURES && is_the_compiler_of_the_words() {
        check(Path::new("tests/compile_fail"));
    } else {
        check_without_words();
    }
}

fn check(cases: &Path) {
    TestCases::new().compile_fail(cases.join("*.rs"));
}

fn is_the_compiler_of_the_words() -> bool {
    let version = Command::new("rustc").arg("--version").output();
    let version = version.expect("the compiler that built this test is there");
    String::from_utf8_lossy(&version.stdout).starts_with(WRITTEN_BY)
}

/// Runs this test again in a process in which new words overwrite old ones, on copies.
fn check_without_words() {
    let this = env::current_exe().expect("this test is a file");
    let status = Command::new(this)
        .args(["--exact", "the_commonest_mistakes_do_not_compile"])
        .env(COPIES, copies())
        .env("TRYBUILD", "overwrite")
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "a mistake compiles"
    );
}

fn copies() -> PathBuf {
    let copies = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    fs::create_dir_all(&copies).expect("the target directory can be written");
    for case in fs::read_dir("tests/compile_fail").expect("the cases are there") {
        let case = case.expect("the cases can be read").path();
        if case.extension().is_some_and(|extension| extension == "rs") {
            let name = case.file_name().expect("it is a file");
            fs::copy(&case, copies.join(name)).expect("the target directory can be written");
        }
    }
    copies
}
