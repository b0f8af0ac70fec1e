//! Rule: what we build on suits our own licences, MIT and Apache-2.0.
//!
//! It holds for every package that cargo would use on some platform, those for tests included.

use super::Violation;
use crate::workspace::{External, Workspace};

mod expression;

/// Licences that ask no more of our users than to keep a notice.
const SUITABLE: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Where the packages are listed.
const FILE: &str = "Cargo.lock";

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let refused = workspace.externals.iter().filter_map(refused);
    refused
        .map(|message| Violation::new(FILE, 1, message))
        .collect()
}

fn refused(package: &External) -> Option<String> {
    let External {
        name,
        version,
        licence,
    } = package;
    let Some(licence) = licence else {
        return Some(format!("`{name}` {version} names no licence"));
    };
    let suits = expression::holds(licence, |term| SUITABLE.contains(&term));
    let problem = match suits {
        Some(true) => return None,
        Some(false) => "does not suit ours",
        None => "cannot be read",
    };
    Some(format!(
        "the licence of `{name}` {version} {problem}: {licence}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(licence: Option<&str>) -> Vec<String> {
        let workspace = Workspace {
            externals: vec![External {
                name: "left-pad".to_owned(),
                version: "1.0.0".to_owned(),
                licence: licence.map(str::to_owned),
            }],
            ..Workspace::default()
        };
        let found = check(&workspace);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_licence_of_the_list_suits_also_as_one_of_a_choice() {
        for licence in SUITABLE {
            assert_eq!(messages(Some(licence)), [""; 0]);
        }
        assert_eq!(messages(Some("GPL-3.0-only OR MIT")), [""; 0]);
    }

    #[test]
    fn any_other_licence_is_reported_with_its_package() {
        assert_eq!(
            messages(Some("MIT AND GPL-3.0-only")),
            [
                "Cargo.lock:1: the licence of `left-pad` 1.0.0 does not suit ours: \
              MIT AND GPL-3.0-only"
            ]
        );
        assert_eq!(
            messages(Some("GPL-2.0-only WITH Classpath-exception-2.0")).len(),
            1
        );
    }

    #[test]
    fn a_licence_that_is_missing_or_that_nobody_can_read_is_reported() {
        assert_eq!(
            messages(None),
            ["Cargo.lock:1: `left-pad` 1.0.0 names no licence"]
        );
        assert_eq!(
            messages(Some("MIT OR")),
            ["Cargo.lock:1: the licence of `left-pad` 1.0.0 cannot be read: MIT OR"]
        );
    }
}
