//! The operators that change a payload, leave it out, or make several of it.

use std::{fmt, marker::PhantomData, sync::Arc};

use towpath_core::{BoxError, Failure, FailureRoute, Inlet, Message, Original, Outlet, Reason};

use super::{Operator, Step};

/// The start of a chain: passes everything on.
pub struct Pass<T>(PhantomData<fn(T) -> T>);

impl<T> Default for Pass<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Pass<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass")
    }
}

impl<T: Send + 'static> Operator for Pass<T> {
    type In = T;
    type Out = T;

    #[inline]
    fn apply(&self, input: T, step: &mut Step<'_>, out: &mut impl FnMut(T, &mut Step<'_>)) {
        out(input, step);
    }

    fn describe(&self, _names: &mut Vec<&'static str>) {}

    fn in_front(
        self: Arc<Self>,
        inner: Box<dyn Inlet<Message<T>>>,
        _failures: FailureRoute,
    ) -> Box<dyn Inlet<Message<T>>> {
        inner
    }

    fn behind(
        self: Arc<Self>,
        inner: Box<dyn Outlet<Message<T>>>,
        _failures: FailureRoute,
    ) -> Box<dyn Outlet<Message<T>>> {
        inner
    }
}

macro_rules! operator {
    ($(#[$doc:meta])* $name:ident<O, F>) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<O, F> {
            before: O,
            f: F,
        }

        impl<O, F> $name<O, F> {
            /// Adds the operator to the chain `before`.
            pub fn new(before: O, f: F) -> Self {
                Self { before, f }
            }
        }
    };
}
pub(super) use operator;

operator! {
    /// Changes each payload.
    Map<O, F>
}
operator! {
    /// Changes each payload, or fails its message.
    TryMap<O, F>
}
operator! {
    /// Makes several of each payload; acknowledged when all of them are.
    FlatMap<O, F>
}
operator! {
    /// Looks at each payload.
    Inspect<O, F>
}
operator! {
    /// Turns each raw payload into a typed one; a bad one is a dead letter with its raw form.
    Decode<O, F>
}

/// Leaves out what the predicate refuses, counted by a reason.
#[derive(Clone, Debug)]
pub struct Filter<O, F> {
    before: O,
    reason: Reason,
    f: F,
}

/// Changes a payload or leaves it out, counted by a reason.
#[derive(Clone, Debug)]
pub struct FilterMap<O, F> {
    before: O,
    reason: Reason,
    f: F,
}

impl<O, F> Filter<O, F> {
    /// Adds the operator to the chain `before`.
    pub fn new(before: O, reason: Reason, f: F) -> Self {
        Self { before, reason, f }
    }
}

impl<O, F> FilterMap<O, F> {
    /// Adds the operator to the chain `before`.
    pub fn new(before: O, reason: Reason, f: F) -> Self {
        Self { before, reason, f }
    }
}

impl<O, F, U> Operator for Map<O, F>
where
    O: Operator,
    F: Fn(O::Out) -> U + Send + Sync + 'static,
    U: Send + 'static,
{
    type In = O::In;
    type Out = U;

    #[inline]
    fn apply(&self, input: O::In, step: &mut Step<'_>, out: &mut impl FnMut(U, &mut Step<'_>)) {
        self.before.apply(input, step, &mut |payload, step| {
            out((self.f)(payload), step);
        });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("map");
    }
}

impl<O, F, U, E> Operator for TryMap<O, F>
where
    O: Operator,
    F: Fn(O::Out) -> Result<U, E> + Send + Sync + 'static,
    U: Send + 'static,
    E: Into<BoxError>,
{
    type In = O::In;
    type Out = U;

    #[inline]
    fn apply(&self, input: O::In, step: &mut Step<'_>, out: &mut impl FnMut(U, &mut Step<'_>)) {
        self.before
            .apply(input, step, &mut |payload, step| match (self.f)(payload) {
                Ok(payload) => out(payload, step),
                Err(error) => step.fail("try_map", error),
            });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("try_map");
    }
}

impl<O, F> Operator for Filter<O, F>
where
    O: Operator,
    F: Fn(&O::Out) -> bool + Send + Sync + 'static,
{
    type In = O::In;
    type Out = O::Out;

    #[inline]
    fn apply(
        &self,
        input: O::In,
        step: &mut Step<'_>,
        out: &mut impl FnMut(O::Out, &mut Step<'_>),
    ) {
        self.before.apply(input, step, &mut |payload, step| {
            if (self.f)(&payload) {
                out(payload, step);
            } else {
                step.skip(self.reason.clone());
            }
        });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("filter");
    }
}

impl<O, F, U> Operator for FilterMap<O, F>
where
    O: Operator,
    F: Fn(O::Out) -> Option<U> + Send + Sync + 'static,
    U: Send + 'static,
{
    type In = O::In;
    type Out = U;

    #[inline]
    fn apply(&self, input: O::In, step: &mut Step<'_>, out: &mut impl FnMut(U, &mut Step<'_>)) {
        self.before
            .apply(input, step, &mut |payload, step| match (self.f)(payload) {
                Some(payload) => out(payload, step),
                None => step.skip(self.reason.clone()),
            });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("filter_map");
    }
}

impl<O, F, I> Operator for FlatMap<O, F>
where
    O: Operator,
    F: Fn(O::Out) -> I + Send + Sync + 'static,
    I: IntoIterator,
    I::Item: Send + 'static,
{
    type In = O::In;
    type Out = I::Item;

    #[inline]
    fn apply(
        &self,
        input: O::In,
        step: &mut Step<'_>,
        out: &mut impl FnMut(I::Item, &mut Step<'_>),
    ) {
        self.before.apply(input, step, &mut |payload, step| {
            let mut parts = (self.f)(payload).into_iter();
            let Some(whole) = step.receipt.take() else {
                return;
            };
            let split = whole.split();
            loop {
                // The part is there before user code runs again: a panic fails it.
                step.receipt = Some(split.part());
                let Some(part) = parts.next() else { break };
                out(part, step);
            }
            if let Some(surplus) = step.receipt.take() {
                split.take_back(surplus);
            }
        });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("flat_map");
    }
}

impl<O, F> Operator for Inspect<O, F>
where
    O: Operator,
    F: Fn(&O::Out) + Send + Sync + 'static,
{
    type In = O::In;
    type Out = O::Out;

    #[inline]
    fn apply(
        &self,
        input: O::In,
        step: &mut Step<'_>,
        out: &mut impl FnMut(O::Out, &mut Step<'_>),
    ) {
        self.before.apply(input, step, &mut |payload, step| {
            (self.f)(&payload);
            out(payload, step);
        });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("inspect");
    }
}

/// Turns a raw payload into a typed one. Closures from `&P` to a result are decoders.
pub trait Decoder<P>: Send + Sync + 'static {
    /// The typed payload.
    type Out: Send + 'static;
    /// Why a payload cannot be decoded.
    type Error: Into<BoxError>;

    /// Decodes one payload.
    ///
    /// # Errors
    /// Fails for a payload that is not well formed; its message becomes a dead letter.
    fn decode(&self, raw: &P) -> Result<Self::Out, Self::Error>;
}

impl<P, U, E, F> Decoder<P> for F
where
    F: Fn(&P) -> Result<U, E> + Send + Sync + 'static,
    U: Send + 'static,
    E: Into<BoxError>,
{
    type Out = U;
    type Error = E;

    fn decode(&self, raw: &P) -> Result<U, E> {
        self(raw)
    }
}

impl<O, D> Operator for Decode<O, D>
where
    O: Operator,
    O::Out: serde::Serialize + Sync,
    D: Decoder<O::Out>,
{
    type In = O::In;
    type Out = D::Out;

    #[inline]
    fn apply(
        &self,
        input: O::In,
        step: &mut Step<'_>,
        out: &mut impl FnMut(D::Out, &mut Step<'_>),
    ) {
        self.before
            .apply(input, step, &mut |raw, step| match self.f.decode(&raw) {
                Ok(payload) => out(payload, step),
                Err(error) => {
                    let failure = Failure::from_error(error);
                    step.fail_with("decode", failure, Some(Original::new(raw)));
                }
            });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("decode");
    }
}
