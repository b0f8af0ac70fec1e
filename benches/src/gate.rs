//! The gate: instructions and allocations per message against their limits.

use std::fmt;

use crate::measure::Figures;

/// What one message of a case may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Name of the case.
    pub case: &'static str,
    /// Instructions at most; `None` where only allocations gate.
    pub instructions: Option<f64>,
    /// Allocations at most.
    pub allocations: f64,
}

/// What may not be exceeded: what was measured, and three percent. The goals, which are lower,
/// stand in `docs/numbers.md`. Raise a limit only together with the reason for it.
pub const LIMITS: [Limit; 8] = [
    Limit {
        case: "bare/towpath",
        instructions: Some(415.0),
        allocations: 0.02,
    },
    Limit {
        case: "batched/towpath",
        instructions: Some(593.0),
        allocations: 0.03,
    },
    Limit {
        case: "yielding/towpath",
        instructions: Some(1199.0),
        allocations: 0.03,
    },
    Limit {
        case: "policed/towpath",
        instructions: Some(1800.0),
        allocations: 0.03,
    },
    Limit {
        case: "watched/towpath",
        instructions: Some(615.0),
        allocations: 0.03,
    },
    Limit {
        case: "watched/everything",
        instructions: Some(2300.0),
        allocations: 0.75,
    },
    Limit {
        case: "calls/towpath",
        instructions: Some(855.0),
        allocations: 0.001,
    },
    Limit {
        case: "pending/towpath",
        instructions: None,
        allocations: 0.001,
    },
];

/// A figure over its limit, or one that could not be had.
#[derive(Debug, Clone, PartialEq)]
pub enum Breach {
    /// More than allowed.
    Over {
        /// Name of the case.
        case: &'static str,
        /// `instructions` or `allocations`.
        unit: &'static str,
        /// What it is.
        measured: f64,
        /// What it may be.
        limit: f64,
    },
    /// The build has no such case.
    Missing {
        /// Name of the case.
        case: &'static str,
    },
}

// === impl Limit ===

impl Limit {
    /// Every way in which the figures break the limit; a unit not measured breaks nothing.
    pub fn breaches(&self, figures: &Figures) -> Vec<Breach> {
        let instructions = figures.instructions.zip(self.instructions);
        let allocations = figures
            .allocations
            .map(|measured| (measured, self.allocations));
        [("instructions", instructions), ("allocations", allocations)]
            .into_iter()
            .filter_map(|(unit, pair)| self.breach(unit, pair?))
            .collect()
    }

    fn breach(&self, unit: &'static str, (measured, limit): (f64, f64)) -> Option<Breach> {
        let over = Breach::Over {
            case: self.case,
            unit,
            measured,
            limit,
        };
        (measured > limit).then_some(over)
    }
}

// === impl Breach ===

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over {
                case,
                unit,
                measured,
                limit,
            } => {
                write!(
                    f,
                    "{case}: {measured:.3} {unit} per message, the limit is {limit}"
                )
            }
            Self::Missing { case } => write!(f, "{case}: this build has no such case"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        case: "a/b",
        instructions: Some(150.0),
        allocations: 0.02,
    };

    fn figures(instructions: f64, allocations: f64) -> Figures {
        let (instructions, allocations) = (Some(instructions), Some(allocations));
        Figures {
            instructions,
            allocations,
            ..Figures::default()
        }
    }

    #[test]
    fn figures_at_the_limit_pass() {
        assert!(LIMIT.breaches(&figures(150.0, 0.02)).is_empty());
    }

    #[test]
    fn each_figure_over_its_limit_is_named() {
        let breaches = LIMIT.breaches(&figures(150.1, 0.5));
        let texts: Vec<_> = breaches.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "a/b: 150.100 instructions per message, the limit is 150",
                "a/b: 0.500 allocations per message, the limit is 0.02",
            ]
        );
    }
}
