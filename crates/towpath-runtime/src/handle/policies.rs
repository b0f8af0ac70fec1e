//! The policies of a running pipeline's stages: read and changed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use towpath_core::{EventKind, ForcedBreaker, PolicyControl, PolicyError, PolicyStatus};

use super::{ControlError, PipelineHandle, Watched};

impl PipelineHandle {
    /// How the policies of a stage are doing, outermost first; none where it has none.
    ///
    /// # Errors
    /// Fails for an unknown stage.
    pub fn policies(&self, stage: &str) -> Result<Vec<PolicyStatus>, ControlError> {
        Ok(self.watched(stage)?.policies())
    }

    /// Lets `calls` through a stage in each period of `per`. Holds at once, for calls that
    /// wait too.
    ///
    /// # Errors
    /// Fails for an unknown stage, one without a rate limit, and a rate that it cannot
    /// keep: none at all, or in no time.
    pub fn set_rate(&self, stage: &str, calls: u64, per: Duration) -> Result<(), ControlError> {
        self.change(stage, "rate limit", |policies| {
            let asked = || format!("{calls} per {per:?}");
            if calls == 0 {
                let why = "it must let at least 1 call through";
                return Err(PolicyError::invalid("rate limit", asked(), why));
            }
            if per.is_zero() {
                let why = "the period must be longer than zero";
                return Err(PolicyError::invalid("rate limit", asked(), why));
            }
            policies.set_rate(calls, per)
        })?;
        let kind = EventKind::RateChanged { calls, per };
        self.0.context.tell(&stage.into(), kind);
        Ok(())
    }

    /// Holds the circuit breaker of a stage open or closed, or lets it decide again.
    ///
    /// One that is open takes nothing from upstream; what waits in the stage goes on
    /// waiting.
    ///
    /// # Errors
    /// Fails for an unknown stage and one without a circuit breaker.
    pub fn force_breaker(&self, stage: &str, forced: ForcedBreaker) -> Result<(), ControlError> {
        self.change(stage, "circuit breaker", |policies| {
            policies.force_breaker(forced)
        })?;
        let kind = EventKind::BreakerForced { forced };
        self.0.context.tell(&stage.into(), kind);
        Ok(())
    }

    fn change(
        &self,
        stage: &str,
        policy: &'static str,
        change: impl FnOnce(&dyn PolicyControl) -> Result<(), PolicyError>,
    ) -> Result<(), ControlError> {
        let changed = match &self.watched(stage)?.policies {
            Some(policies) => change(&**policies),
            None => Err(PolicyError::missing(policy)),
        };
        changed.map_err(|error| match error {
            PolicyError::Missing { policy } => ControlError::NoSuchPolicy {
                stage: stage.into(),
                policy,
            },
            source => ControlError::Policy {
                stage: stage.into(),
                source,
            },
        })
    }
}

impl Watched {
    /// How its policies are doing. They may be anybody's: a report is made whatever they do.
    pub(crate) fn policies(&self) -> Vec<PolicyStatus> {
        let Some(policies) = &self.policies else {
            return Vec::new();
        };
        catch_unwind(AssertUnwindSafe(|| policies.status())).unwrap_or_default()
    }
}
