//! How a stack comes to be, policy by policy.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, OnceLock},
};

use tower_layer::Identity;
use towpath_policy::{Deadline, Flat, Once, Policies};

use super::{Settings, Stack};
use crate::policy::{Absent, Bare, Part};

/// What a stack can be made of: one, or nothing yet.
pub trait ToStack {
    /// What a call costs.
    type Charge: 'static;
    /// Whether requests are kept.
    type Replay: 'static;
    /// Its dedup.
    type Dedup: Part;
    /// Its fallback.
    type Fallback: Part;
    /// Its hedge.
    type Hedge: Part;
    /// Its layers outside.
    type Outside;

    /// Makes the stack.
    fn to_stack(self) -> StackOf<Self>;
}

/// The stack that is made of `P`.
pub type StackOf<P> = Stack<
    <P as ToStack>::Charge,
    <P as ToStack>::Replay,
    <P as ToStack>::Dedup,
    <P as ToStack>::Fallback,
    <P as ToStack>::Hedge,
    <P as ToStack>::Outside,
>;

/// Messages that may wait in a stage without running, unless said otherwise.
const MAX_PARKED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

impl<L, R, Du: Part, Fa: Part, He: Part, Ou> Stack<L, R, Du, Fa, He, Ou> {
    pub(super) fn new(
        settings: Settings,
        policies: Policies<L, R>,
        dedup: Du,
        fallback: Fa,
        hedge: He,
        outside: Ou,
    ) -> Self {
        Self {
            settings,
            policies,
            dedup,
            fallback,
            hedge,
            outside,
            built: OnceLock::new(),
            service: Mutex::new(None),
        }
    }

    /// With other policies at its core.
    pub(crate) fn with_core<M, N>(
        self,
        change: impl FnOnce(Policies<L, R>) -> Policies<M, N>,
    ) -> Stack<M, N, Du, Fa, He, Ou> {
        let policies = change(self.policies);
        Stack::new(
            self.settings,
            policies,
            self.dedup,
            self.fallback,
            self.hedge,
            self.outside,
        )
    }

    pub(crate) fn with_deadline(mut self, deadline: Deadline) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    pub(crate) fn with_max_parked(mut self, messages: NonZeroUsize) -> Self {
        self.settings.max_parked = messages;
        self
    }

    pub(crate) fn with_dedup<N: Part>(self, dedup: N) -> Stack<L, R, N, Fa, He, Ou> {
        Stack::new(
            self.settings,
            self.policies,
            dedup,
            self.fallback,
            self.hedge,
            self.outside,
        )
    }

    pub(crate) fn with_fallback<N: Part>(self, fallback: N) -> Stack<L, R, Du, N, He, Ou> {
        Stack::new(
            self.settings,
            self.policies,
            self.dedup,
            fallback,
            self.hedge,
            self.outside,
        )
    }

    pub(crate) fn with_hedge<N: Part>(self, hedge: N) -> Stack<L, R, Du, Fa, N, Ou> {
        Stack::new(
            self.settings,
            self.policies,
            self.dedup,
            self.fallback,
            hedge,
            self.outside,
        )
    }

    /// With one more layer around everything.
    pub(crate) fn with_outside<N>(
        mut self,
        name: &'static str,
        layer: N,
    ) -> Stack<L, R, Du, Fa, He, tower_layer::Stack<Ou, N>> {
        self.settings.outside.push(name);
        Stack::new(
            self.settings,
            self.policies,
            self.dedup,
            self.fallback,
            self.hedge,
            tower_layer::Stack::new(self.outside, layer),
        )
    }
}

impl ToStack for Bare {
    type Charge = Flat;
    type Replay = Once;
    type Dedup = Absent;
    type Fallback = Absent;
    type Hedge = Absent;
    type Outside = Identity;

    fn to_stack(self) -> Stack {
        let settings = Settings {
            deadline: None,
            max_parked: MAX_PARKED,
            outside: Vec::new(),
        };
        Stack::new(
            settings,
            Policies::new(),
            Absent,
            Absent,
            Absent,
            Identity::new(),
        )
    }
}

impl<L, R, Du, Fa, He, Ou> ToStack for Stack<L, R, Du, Fa, He, Ou>
where
    L: 'static,
    R: 'static,
    Du: Part,
    Fa: Part,
    He: Part,
{
    type Charge = L;
    type Replay = R;
    type Dedup = Du;
    type Fallback = Fa;
    type Hedge = He;
    type Outside = Ou;

    fn to_stack(self) -> Self {
        self
    }
}
