//! The span that the code which runs now is in.

use std::{cell::RefCell, fmt, sync::Arc};

use super::{Scope, Span};
use crate::Headers;

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Span>>> = const { RefCell::new(None) };
}

/// The span of the message that is being worked on here; `None` outside of any, and where
/// the message is not traced.
///
/// Set around every poll of a handler or a sink. It does not follow into a task that the
/// handler spawns: take it along, and [`enter`] it there.
pub fn current() -> Option<Arc<dyn Span>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// What to send along with a message that is sent from here, so that the receiver goes on
/// with the trace; empty where nothing is traced.
pub fn inject() -> Headers {
    current().map_or_else(Headers::default, |span| span.headers())
}

/// Makes a span the current one of this thread until the guard is dropped. Not to be held
/// across an `await`: enter it around each poll.
pub fn enter(span: &Arc<dyn Span>) -> Entered {
    let scope = span.enter();
    let before = CURRENT.with(|current| current.replace(Some(span.clone())));
    Entered {
        _scope: scope,
        before,
    }
}

/// A span that is the current one of a thread, also while its code panics.
#[must_use = "the span is left when this is dropped"]
pub struct Entered {
    _scope: Box<dyn Scope>,
    before: Option<Arc<dyn Span>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        let left = CURRENT.with(|current| current.replace(before));
        // Not under the borrow: the last of a span may go here, in code of the tracer.
        drop(left);
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}
