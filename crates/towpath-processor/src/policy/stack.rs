//! The stack of a stage: every policy in its place, whatever the order they were given in.

mod change;

use std::{
    any::Any,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tower_layer::{Identity, Layer};
use tower_service::Service;
use towpath_core::{BoxError, PolicyControl, PolicyStatus, StageInfo};
use towpath_policy::{
    Charge, Concurrency, Deadline, DeadlineLayer, DeadlineService, Flat, InvalidOptions, Once,
    Policed, Policies, PolicyLayer, Problems, Replay,
};

use super::{
    Absent, Guard, Guarded, Part,
    classify::OnStage,
    control::{Control, Look},
};

pub use change::{StackOf, ToStack};

/// The policies of a stage. Outermost first: outside layers > deadline > dedup > fallback >
/// hedge > retry > circuit breaker > rate limit > concurrency > timeout > layers > service.
///
/// `L` is what a call costs at the limiter, `R` whether requests are kept for another attempt.
pub struct Stack<
    L = Flat,
    R = Once,
    Du: Part = Absent,
    Fa: Part = Absent,
    He: Part = Absent,
    Ou = Identity,
> {
    settings: Settings,
    policies: Policies<L, R>,
    dedup: Du,
    fallback: Fa,
    hedge: He,
    outside: Ou,
    /// Made once: all workers share the budgets.
    built: OnceLock<Checked<L, R, Du, Fa, He>>,
    /// The service with everything around it, made once too: a layer may keep what its
    /// services share in the service that it makes.
    service: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What is said of a stack beside its parts.
#[derive(Clone, Debug)]
struct Settings {
    deadline: Option<Deadline>,
    max_parked: NonZeroUsize,
    /// The layers outside, innermost first.
    outside: Vec<&'static str>,
}

/// What is made of the options of a stack.
struct Built<L, R, Du: Part, Fa: Part, He: Part> {
    deadline: DeadlineLayer,
    dedup: Du::Layer,
    fallback: Fa::Layer,
    hedge: He::Layer,
    policies: PolicyLayer<L, R>,
}

/// What was made of the options, or all that is wrong with them.
type Checked<L, R, Du, Fa, He> = Result<Built<L, R, Du, Fa, He>, InvalidOptions>;

type Layered<Options, S> = <<Options as Part>::Layer as Layer<S>>::Service;

/// The service with all policies of a stack; the layers outside go around it.
type Inside<S, L, R, Du, Fa, He> =
    DeadlineService<Layered<Du, Layered<Fa, Layered<He, Policed<S, L, R>>>>>;

// === impl Stack ===

impl<L: 'static, R: 'static, Du: Part, Fa: Part, He: Part, Ou> Stack<L, R, Du, Fa, He, Ou> {
    fn built(&self, concurrency: usize) -> &Checked<L, R, Du, Fa, He> {
        self.built.get_or_init(|| self.build(concurrency))
    }

    fn build(&self, concurrency: usize) -> Checked<L, R, Du, Fa, He> {
        let mut policies = self.policies.clone();
        // Slots alone count the calls, unless some of them only wait.
        if self.parks() && !policies.limits_concurrency() {
            policies = policies.concurrency(Concurrency::limit(concurrency));
        }
        self.problems(&policies).into_result()?;
        let classify = OnStage(policies.classifier());
        Ok(Built {
            deadline: self.settings.deadline.unwrap_or_default().build()?,
            dedup: self.dedup.build()?,
            fallback: self.fallback.build()?,
            hedge: self.hedge.build()?,
            policies: policies.classify(classify).build()?,
        })
    }

    /// All that is wrong, in every part.
    fn problems(&self, policies: &Policies<L, R>) -> Problems {
        let mut problems = Problems::new();
        let deadline = self.settings.deadline.unwrap_or_default();
        problems.within("deadline", |problems| deadline.problems(problems));
        problems.within("dedup", |problems| self.dedup.problems(problems));
        problems.within("fallback", |problems| self.fallback.problems(problems));
        problems.within("hedge", |problems| self.hedge.problems(problems));
        policies.problems(&mut problems);
        problems
    }

    fn words(&self) -> Vec<String> {
        let outside = self.settings.outside.iter().rev();
        let outside = outside.map(|name| format!("layer {name} outside"));
        let outer = [
            self.settings.deadline.as_ref().map(ToString::to_string),
            self.dedup.describe(),
            self.fallback.describe(),
            self.hedge.describe(),
        ];
        let inner = self.policies.describe();
        outside
            .chain(outer.into_iter().flatten())
            .chain(inner)
            .collect()
    }

    fn parks(&self) -> bool {
        self.policies.parks() || self.dedup.describe().is_some()
    }
}

impl<L, R, Du, Fa, He, Ou> Guarded for Stack<L, R, Du, Fa, He, Ou>
where
    L: Send + Sync + 'static,
    R: 'static,
    Du: Part,
    Fa: Part,
    He: Part,
    Ou: Send + Sync + 'static,
{
    const CARRIES: bool = true;

    fn adapts_up_to(&self) -> Option<usize> {
        self.policies.adapts_up_to()
    }

    fn describe(&self, concurrency: usize, mut info: StageInfo) -> StageInfo {
        // One note: the order is what it is about.
        info.notes.push(self.words().join(" > "));
        if self.parks() {
            info = info.parking(self.settings.max_parked.get());
        }
        if let Err(invalid) = self.built(concurrency) {
            let problems = invalid.problems().iter().map(ToString::to_string);
            info.problems.extend(problems);
        }
        info
    }

    fn control(&self, concurrency: usize) -> Option<Arc<dyn PolicyControl>> {
        let built = self.built(concurrency).as_ref().ok()?;
        Some(Arc::new(Control::new(
            built.policies.handle(),
            built.looks(),
        )))
    }
}

impl<S, Q, L, R, Du, Fa, He, Ou> Guard<S, Q> for Stack<L, R, Du, Fa, He, Ou>
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
    Ou: Layer<Inside<S, L, R, Du, Fa, He>> + Send + Sync + 'static,
    Ou::Service: Service<Q, Response = S::Response> + Clone + Send + 'static,
{
    type Service = Ou::Service;

    fn guard(&self, service: S, concurrency: usize) -> Option<Self::Service> {
        let built = self.built(concurrency).as_ref().ok()?;
        let mut made = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.as_ref().and_then(|made| made.downcast_ref()) {
            return Some(Self::Service::clone(known));
        }
        let service = built.hedge.layer(built.policies.layer(service));
        let service = built.dedup.layer(built.fallback.layer(service));
        let service = self.outside.layer(built.deadline.layer(service));
        *made = Some(Box::new(service.clone()));
        Some(service)
    }
}

/// Of the options alone: two stages share no budget.
impl<L, R, Du: Part, Fa: Part, He: Part, Ou: Clone> Clone for Stack<L, R, Du, Fa, He, Ou> {
    fn clone(&self) -> Self {
        Self::new(
            self.settings.clone(),
            self.policies.clone(),
            self.dedup.clone(),
            self.fallback.clone(),
            self.hedge.clone(),
            self.outside.clone(),
        )
    }
}

impl<L: 'static, R: 'static, Du: Part, Fa: Part, He: Part, Ou> fmt::Debug
    for Stack<L, R, Du, Fa, He, Ou>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.words()).finish()
    }
}

// === impl Built ===

impl<L, R, Du: Part, Fa: Part, He: Part> Built<L, R, Du, Fa, He> {
    /// Looks at the policies around those that have a handle of their own.
    fn looks(&self) -> Vec<Look> {
        let (deadline, dedup) = (self.deadline.clone(), self.dedup.clone());
        let (fallback, hedge) = (self.fallback.clone(), self.hedge.clone());
        vec![
            Box::new(move || deadline_status(&deadline)),
            Box::new(move || Du::status(&dedup)),
            Box::new(move || Fa::status(&fallback)),
            Box::new(move || He::status(&hedge)),
        ]
    }
}

fn deadline_status(deadline: &DeadlineLayer) -> Option<PolicyStatus> {
    Some(PolicyStatus::Deadline {
        after: deadline.limit()?,
        exceeded: deadline.exceeded(),
    })
}
