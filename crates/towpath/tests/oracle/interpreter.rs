//! The oracle: one message after the other, no links, no tasks.

use std::collections::{BTreeMap, BTreeSet};

use towpath::Outcome;

use crate::description::{Description, End, Fault, Item, Line, Op};

/// What came of a whole run.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The outcomes of each message, one for each delivery.
    pub(crate) fates: BTreeMap<u64, Vec<Fate>>,
    /// What the sinks wrote, in order.
    pub(crate) written: Vec<Line>,
    /// How many letters there are about each message.
    pub(crate) letters: BTreeMap<u64, usize>,
}

/// One outcome: the word, and the stages, reasons or pauses that it may name.
///
/// Parts of a message that end alike may settle in any order, and the first one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) word: &'static str,
    pub(crate) details: BTreeSet<String>,
}

/// Walks every message of the source, again as often as it is given back.
pub(crate) fn run(description: &Description) -> Account {
    let mut account = Account::default();
    let ops = description.ops();
    for index in 0..description.items {
        let item = Item {
            index,
            value: index,
        };
        let mut fates = Vec::new();
        for attempt in 1..=description.attempts {
            let mut walk = Walk {
                description,
                attempt,
                account: &mut account,
                unwinds: false,
            };
            let fate = walk.step(&ops, item);
            let again = fate.word == "retried";
            fates.push(fate);
            if !again {
                break;
            }
        }
        account.fates.insert(index, fates);
    }
    account
}

struct Walk<'a> {
    description: &'a Description,
    attempt: u32,
    account: &'a mut Account,
    /// An operator has panicked: no more parts are made between here and the last stage.
    unwinds: bool,
}

impl Walk<'_> {
    fn step(&mut self, ops: &[Op<'_>], item: Item) -> Fate {
        let Some((op, rest)) = ops.split_first() else {
            return self.end(&self.description.end, 0, item);
        };
        match op {
            Op::Map(add) => self.step(rest, item.add(*add)),
            Op::Filter(of) if item.is_multiple(*of) => Fate::new("dropped", "filter"),
            Op::FlatMap(parts) => {
                let mut fate = None;
                for part in (0..*parts).map(|part| item.part(part)) {
                    let next = self.step(rest, part);
                    fate = Some(fate.map_or(next.clone(), |fate: Fate| fate.join(next)));
                    if self.unwinds {
                        break;
                    }
                }
                fate.unwrap_or_else(|| Fate::new("dropped", "empty"))
            }
            Op::Early(of) => {
                let fate = self.step(rest, item);
                if item.is_multiple(*of) {
                    Fate::new("done", "")
                } else {
                    fate
                }
            }
            Op::TryMap(faults) => {
                self.unwinds = faults.of(&item) == Fault::Panic;
                let failed = self.fail("try_map", item, faults.of(&item), 0);
                failed.unwrap_or_else(|| self.step(rest, item))
            }
            Op::Process {
                stage,
                faults,
                sees_delivery,
            } => {
                let attempt = if *sees_delivery { self.attempt } else { 0 };
                let failed = self.fail(&format!("stage-{stage}"), item, faults.of(&item), attempt);
                let fate = failed.unwrap_or_else(|| self.step(rest, item));
                self.unwinds = false;
                fate
            }
            Op::Parts(parts) => {
                let fates = (0..*parts).map(|part| {
                    // Each is a message of its own already.
                    self.unwinds = false;
                    self.step(rest, item.part(part))
                });
                let fate = fates.reduce(Fate::join);
                fate.unwrap_or_else(|| Fate::new("dropped", "empty"))
            }
            Op::Maybe(of) if item.is_multiple(*of) => Fate::new("dropped", "maybe"),
            Op::Filter(_) | Op::Maybe(_) => self.step(rest, item),
        }
    }

    fn end(&mut self, end: &End, sink: usize, item: Item) -> Fate {
        match end {
            End::Acknowledge => Fate::new("done", ""),
            End::Sink { faults, .. } | End::Batch { faults, .. } => {
                let (stage, fault) = (format!("sink-{sink}"), faults.of(&item));
                if let Some(failed) = self.fail(&stage, item, fault, self.attempt) {
                    return failed;
                }
                self.account.written.push((sink, item));
                Fate::new("done", "")
            }
            End::Fork {
                copies: true,
                sides,
            } => {
                let first = self.end(&sides[0], 1, item);
                first.join(self.end(&sides[1], 2, item))
            }
            End::Fork {
                copies: false,
                sides,
            } => match item.side() {
                2 => self.reject("route", item),
                side => self.end(&sides[side], side + 1, item),
            },
        }
    }

    /// What a fault makes of a message at a stage; `None` lets it pass.
    fn fail(&mut self, stage: &str, item: Item, fault: Fault, attempt: u32) -> Option<Fate> {
        if let Some(after) = fault.retry_after(attempt) {
            return Some(Fate::new("retried", format!("{after:?}")));
        }
        match fault {
            Fault::Drop => Some(Fate::new("dropped", "fault")),
            Fault::Reject | Fault::Panic => Some(self.reject(stage, item)),
            Fault::None | Fault::Retry(_) | Fault::RetryTo(_) => None,
        }
    }

    fn reject(&mut self, stage: &str, item: Item) -> Fate {
        *self.account.letters.entry(item.index).or_default() += 1;
        Fate::new("rejected", stage)
    }
}

impl Fate {
    fn new(word: &'static str, detail: impl Into<String>) -> Self {
        let details = BTreeSet::from([detail.into()]);
        Self { word, details }
    }

    /// The worst of two parts decides.
    fn join(mut self, mut other: Self) -> Self {
        let rank = |fate: &Self| {
            let words = ["dropped", "done", "rejected", "retried"];
            words.iter().position(|word| *word == fate.word)
        };
        match rank(&self).cmp(&rank(&other)) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => {
                self.details.append(&mut other.details);
                self
            }
        }
    }

    /// Whether a real outcome is this one.
    pub(crate) fn allows(&self, outcome: &Outcome) -> bool {
        let named = |name: &str| {
            self.details
                .iter()
                .any(|d| name == d || name.contains(d.as_str()))
        };
        self.word == outcome.word()
            && match outcome {
                Outcome::Retry { after, .. } => self.details.contains(&format!("{after:?}")),
                Outcome::Reject(cause) => named(cause.stage().as_str()),
                Outcome::Drop(reason) => self.details.contains(reason.as_str()),
                _ => true,
            }
    }
}
