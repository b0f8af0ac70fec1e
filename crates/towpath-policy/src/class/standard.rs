//! The classifier that is used where nothing else is said.

use std::{error::Error, fmt, io, sync::Arc};

use super::{Class, Classify, HttpStatus, chain, own};

/// The classifier that is used where nothing else is said, open for your own rules.
///
/// Your rules are asked first, in their order, about the error and its causes. Then what is
/// known here: input and output errors by their kind, [`HttpStatus`], the errors of these
/// policies, and those of tower with the feature `tower`. Of several that are known in a chain,
/// the outermost counts. A [`RetryAfter`](crate::RetryAfter) anywhere in the chain says
/// how long to wait.
///
/// An unknown error is transient: attempts and the retry budget bound what a wrong guess costs,
/// and a message that is given up too early is lost to its pipeline.
///
/// ```
/// use towpath_policy::{Class, Classify, HttpStatus, Standard};
///
/// # #[derive(Debug, thiserror::Error)] #[error("bad row")] struct BadRow;
/// # #[derive(Debug, thiserror::Error)] #[error("code {code}")] struct DbError { code: u32 }
/// let classifier = Standard::new()
///     .permanent::<BadRow>()
///     .when(|error: &DbError| (error.code == 53300).then_some(Class::OVERLOAD))
///     .http_status(404, Class::TRANSIENT);
///
/// assert_eq!(classifier.classify(&BadRow), Class::Permanent);
/// assert_eq!(classifier.classify(&DbError { code: 53300 }), Class::OVERLOAD);
/// assert_eq!(classifier.classify(&HttpStatus(404)), Class::TRANSIENT);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Standard {
    rules: Vec<Rule>,
}

type Rule = Arc<dyn Fn(&(dyn Error + 'static)) -> Option<Class> + Send + Sync>;

// === impl Standard ===

impl Standard {
    /// Starts without rules of your own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Errors of type `E` are not worth another attempt.
    pub fn permanent<E: Error + 'static>(self) -> Self {
        self.when(|_: &E| Some(Class::Permanent))
    }

    /// Errors of type `E` are worth another attempt.
    pub fn transient<E: Error + 'static>(self) -> Self {
        self.when(|_: &E| Some(Class::TRANSIENT))
    }

    /// Errors of type `E` say that the backend has too much to do.
    pub fn overload<E: Error + 'static>(self) -> Self {
        self.when(|_: &E| Some(Class::OVERLOAD))
    }

    /// Answers with this HTTP status are of this class.
    pub fn http_status(self, status: u16, class: Class) -> Self {
        self.when(move |error: &HttpStatus| (error.0 == status).then_some(class))
    }

    /// Errors of type `E` are of the class that `rule` says; `None` leaves it to others.
    pub fn when<E, F>(mut self, rule: F) -> Self
    where
        E: Error + 'static,
        F: Fn(&E) -> Option<Class> + Send + Sync + 'static,
    {
        self.rules
            .push(Arc::new(move |error| error.downcast_ref().and_then(&rule)));
        self
    }

    /// What the rules say about one error of a chain.
    fn by_rules(&self, error: &(dyn Error + 'static)) -> Option<Class> {
        self.rules.iter().find_map(|rule| rule(error))
    }
}

impl Classify for Standard {
    fn classify(&self, error: &(dyn Error + 'static)) -> Class {
        let class = chain(error)
            .find_map(|error| self.by_rules(error))
            .or_else(|| chain(error).find_map(known))
            .unwrap_or(Class::TRANSIENT);
        match own::asked_delay(error) {
            Some(delay) => class.or_after(delay),
            None => class,
        }
    }
}

/// What is known about one error of a chain without rules.
fn known(error: &(dyn Error + 'static)) -> Option<Class> {
    if let Some(status) = error.downcast_ref::<HttpStatus>() {
        return Some(Class::of_http_status(status.0));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Class::of_io_kind(error.kind());
    }
    own::class(error).or_else(|| of_tower(error))
}

#[cfg(any(test, feature = "tower"))]
fn of_tower(error: &(dyn Error + 'static)) -> Option<Class> {
    super::tower::class(error)
}

#[cfg(not(any(test, feature = "tower")))]
fn of_tower(_: &(dyn Error + 'static)) -> Option<Class> {
    None
}

impl fmt::Debug for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standard")
            .field("rules", &self.rules.len())
            .finish()
    }
}
