//! A call that somebody looks at.

use std::{error::Error, fmt, sync::Arc, thread};

use crate::{
    BoxError,
    error::{DeadlinePassed, Interrupted, Panicked},
    observe::{self, AttemptObserver, CallObserver, Entered},
};

/// Who looks at a call, and at the attempt that runs.
pub(crate) struct Watch {
    observer: Arc<dyn CallObserver>,
    attempt: Option<Box<dyn AttemptObserver>>,
}

/// The service runs, and an attempt is looked at.
pub(crate) struct InAttempt<'a> {
    scope: Option<Box<dyn Entered>>,
    /// What the service calls is not told to who looks at the call.
    masked: Option<observe::Guard>,
    attempt: &'a mut Option<Box<dyn AttemptObserver>>,
    was_panicking: bool,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(observer: Arc<dyn CallObserver>) -> Self {
        Self {
            observer,
            attempt: None,
        }
    }

    pub(crate) fn observer(&self) -> &Arc<dyn CallObserver> {
        &self.observer
    }

    /// An attempt begins.
    pub(crate) fn begin(&mut self, number: u32) {
        self.attempt = Some(self.observer.attempt(number));
    }

    /// The service is about to run.
    pub(crate) fn enter(&mut self) -> InAttempt<'_> {
        let masked = observe::mask();
        let scope = self.attempt.as_ref().map(|attempt| attempt.enter());
        InAttempt {
            scope,
            masked: Some(masked),
            attempt: &mut self.attempt,
            was_panicking: thread::panicking(),
        }
    }

    /// The attempt has answered.
    pub(crate) fn succeeded(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            attempt.ended(Ok(()));
        }
    }

    /// The attempt has ended.
    pub(crate) fn ended<T>(&mut self, result: &Result<T, BoxError>) {
        if let Some(attempt) = self.attempt.take() {
            let result = result.as_ref().map(|_| ()).map_err(|error| &**error as _);
            attempt.ended(result);
        }
    }

    /// The attempt has failed, or the call was refused it: then one is told that ended at once.
    pub(crate) fn failed(&mut self, number: u32, error: &(dyn Error + 'static)) {
        let attempt = match self.attempt.take() {
            Some(attempt) => attempt,
            // The wait was told, and that it has ended.
            None if error.is::<Interrupted>() || error.is::<DeadlinePassed>() => return,
            None => self.observer.attempt(number),
        };
        attempt.ended(Err(error));
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

// === impl InAttempt ===

impl Drop for InAttempt<'_> {
    fn drop(&mut self) {
        self.scope = None;
        self.masked = None;
        // Nobody else sees a panic that no guard catches.
        if thread::panicking() && !self.was_panicking {
            let message = "the service, where no guard caught it".to_owned();
            if let Some(attempt) = self.attempt.take() {
                attempt.ended(Err(&Panicked { message }));
            }
        }
    }
}
