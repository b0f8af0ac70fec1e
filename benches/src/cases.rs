//! All cases. One file per contender, each in the form its own documents advise.

mod batcher;
mod calls;
mod channel;
#[cfg(feature = "peers")]
mod datum;
mod eager;
mod floor;
mod loops;
#[cfg(feature = "peers")]
mod resilience;
mod spawned;
mod stream;
mod towpath;
mod watched;

use crate::case::{Case, Job};

/// Every case of this build, in the order of the tables.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(towpath::CASES);
    cases.extend(floor::CASES);
    cases.extend(eager::CASES);
    #[cfg(feature = "peers")]
    cases.extend(datum::CASES);
    cases.extend(stream::CASES);
    cases.extend(loops::CASES);
    cases.extend(channel::CASES);
    cases.extend(spawned::CASES);
    cases.extend(watched::CASES);
    cases.extend(calls::CASES);
    #[cfg(feature = "peers")]
    cases.extend(resilience::CASES);
    cases.sort_by_key(|case| case.job);
    cases
}

/// The cases of one job.
pub fn of(job: Job) -> Vec<Case> {
    all().into_iter().filter(|case| case.job == job).collect()
}

/// The case of that name, such as `batched/eager`.
pub fn find(name: &str) -> Option<Case> {
    all().into_iter().find(|case| case.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{one_thread, two_workers};

    #[test]
    fn every_case_acknowledges_every_message_on_two_workers() {
        let runtime = two_workers().unwrap();
        for case in all() {
            case.checked(&runtime, 1777).unwrap();
        }
    }

    #[test]
    fn every_case_acknowledges_every_message_on_one_thread() {
        let runtime = one_thread().unwrap();
        for case in all() {
            case.checked(&runtime, 1777).unwrap();
        }
    }

    #[test]
    fn names_of_cases_are_unique() {
        let mut names: Vec<_> = all().iter().map(ToString::to_string).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
