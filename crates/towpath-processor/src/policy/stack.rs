//! The stack of a stage: every policy in its place, whatever the order they were given in.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, OnceLock},
};

use tower_layer::Layer;
use tower_service::Service;
use towpath_core::{BoxError, PolicyControl, StageInfo};
use towpath_policy::{
    Charge, Concurrency, Deadline, DeadlineLayer, DeadlineService, Flat, InvalidOptions, Once,
    Policed, Policies, PolicyLayer, Problems, Replay,
};

use super::{Absent, Guard, Guarded, Part, bare::Bare, classify::OnStage, control::Control};

/// The policies of a stage. Outermost first: deadline > dedup > fallback > hedge > retry >
/// circuit breaker > rate limit > concurrency > timeout > layers > service.
///
/// `L` is what a call costs at the limiter, `R` whether requests are kept for another attempt.
pub struct Stack<L = Flat, R = Once, Du: Part = Absent, Fa: Part = Absent, He: Part = Absent> {
    pub(super) deadline: Option<Deadline>,
    pub(super) dedup: Du,
    pub(super) fallback: Fa,
    pub(super) hedge: He,
    pub(super) policies: Policies<L, R>,
    pub(super) max_parked: NonZeroUsize,
    /// Made once: all workers share the budgets.
    pub(super) built: OnceLock<Result<Built<L, R, Du, Fa, He>, InvalidOptions>>,
}

/// What is made of the options of a stack.
pub(super) struct Built<L, R, Du: Part, Fa: Part, He: Part> {
    deadline: DeadlineLayer,
    dedup: Du::Layer,
    fallback: Fa::Layer,
    hedge: He::Layer,
    policies: PolicyLayer<L, R>,
}

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
>;

type Layered<Options, S> = <<Options as Part>::Layer as Layer<S>>::Service;

/// Messages that may wait in a stage without running, unless said otherwise.
const MAX_PARKED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

// === impl Stack ===

impl<L: 'static, R: 'static, Du: Part, Fa: Part, He: Part> Stack<L, R, Du, Fa, He> {
    fn built(&self, concurrency: usize) -> &Result<Built<L, R, Du, Fa, He>, InvalidOptions> {
        self.built.get_or_init(|| self.build(concurrency))
    }

    fn build(&self, concurrency: usize) -> Result<Built<L, R, Du, Fa, He>, InvalidOptions> {
        let mut policies = self.policies.clone();
        // Slots alone count the calls, unless some of them only wait.
        if policies.parks() && !policies.limits_concurrency() {
            policies = policies.concurrency(Concurrency::limit(concurrency));
        }
        self.problems(&policies).into_result()?;
        let classify = OnStage(policies.classifier());
        Ok(Built {
            deadline: self.deadline.unwrap_or_default().build()?,
            dedup: self.dedup.build()?,
            fallback: self.fallback.build()?,
            hedge: self.hedge.build()?,
            policies: policies.classify(classify).build()?,
        })
    }

    /// All that is wrong, in every part.
    fn problems(&self, policies: &Policies<L, R>) -> Problems {
        let mut problems = Problems::new();
        let deadline = self.deadline.unwrap_or_default();
        problems.within("deadline", |problems| deadline.problems(problems));
        problems.within("dedup", |problems| self.dedup.problems(problems));
        problems.within("fallback", |problems| self.fallback.problems(problems));
        problems.within("hedge", |problems| self.hedge.problems(problems));
        policies.problems(&mut problems);
        problems
    }

    fn words(&self) -> Vec<String> {
        let outer = [
            self.deadline.as_ref().map(ToString::to_string),
            self.dedup.describe(),
            self.fallback.describe(),
            self.hedge.describe(),
        ];
        let inner = self.policies.describe();
        outer.into_iter().flatten().chain(inner).collect()
    }

    fn parks(&self) -> bool {
        self.policies.parks() || self.dedup.describe().is_some()
    }
}

impl<L, R, Du, Fa, He> Guarded for Stack<L, R, Du, Fa, He>
where
    L: Send + Sync + 'static,
    R: 'static,
    Du: Part,
    Fa: Part,
    He: Part,
{
    const CARRIES: bool = true;

    fn adapts_up_to(&self) -> Option<usize> {
        self.policies.adapts_up_to()
    }

    fn describe(&self, concurrency: usize, mut info: StageInfo) -> StageInfo {
        info.notes.extend(self.words());
        if self.parks() {
            info = info.parking(self.max_parked.get());
        }
        if let Err(invalid) = self.built(concurrency) {
            let problems = invalid.problems().iter().map(ToString::to_string);
            info.problems.extend(problems);
        }
        info
    }

    fn control(&self, concurrency: usize) -> Option<Arc<dyn PolicyControl>> {
        let built = self.built(concurrency).as_ref().ok()?;
        Some(Arc::new(Control::new(built.policies.handle())))
    }
}

impl<S, Q, L, R, Du, Fa, He> Guard<S, Q> for Stack<L, R, Du, Fa, He>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
    L: Charge<Q>,
    R: Replay<Q>,
    Du: Part,
    Fa: Part,
    He: Part,
    He::Layer: Layer<Policed<S, L, R>>,
    Fa::Layer: Layer<Layered<He, Policed<S, L, R>>>,
    Du::Layer: Layer<Layered<Fa, Layered<He, Policed<S, L, R>>>>,
    DeadlineService<Layered<Du, Layered<Fa, Layered<He, Policed<S, L, R>>>>>:
        Service<Q, Response = S::Response>,
{
    type Service = DeadlineService<Layered<Du, Layered<Fa, Layered<He, Policed<S, L, R>>>>>;

    fn guard(&self, service: S, concurrency: usize) -> Option<Self::Service> {
        let built = self.built(concurrency).as_ref().ok()?;
        let service = built.hedge.layer(built.policies.layer(service));
        let service = built.dedup.layer(built.fallback.layer(service));
        Some(built.deadline.layer(service))
    }
}

/// Of the options alone: two stages share no budget.
impl<L, R, Du: Part, Fa: Part, He: Part> Clone for Stack<L, R, Du, Fa, He> {
    fn clone(&self) -> Self {
        Self {
            deadline: self.deadline,
            dedup: self.dedup.clone(),
            fallback: self.fallback.clone(),
            hedge: self.hedge.clone(),
            policies: self.policies.clone(),
            max_parked: self.max_parked,
            built: OnceLock::new(),
        }
    }
}

impl<L: 'static, R: 'static, Du: Part, Fa: Part, He: Part> fmt::Debug
    for Stack<L, R, Du, Fa, He>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.words()).finish()
    }
}

// === impl ToStack ===

impl ToStack for Bare {
    type Charge = Flat;
    type Replay = Once;
    type Dedup = Absent;
    type Fallback = Absent;
    type Hedge = Absent;

    fn to_stack(self) -> Stack {
        Stack {
            deadline: None,
            dedup: Absent,
            fallback: Absent,
            hedge: Absent,
            policies: Policies::new(),
            max_parked: MAX_PARKED,
            built: OnceLock::new(),
        }
    }
}

impl<L: 'static, R: 'static, Du: Part, Fa: Part, He: Part> ToStack for Stack<L, R, Du, Fa, He> {
    type Charge = L;
    type Replay = R;
    type Dedup = Du;
    type Fallback = Fa;
    type Hedge = He;

    fn to_stack(self) -> Self {
        self
    }
}
