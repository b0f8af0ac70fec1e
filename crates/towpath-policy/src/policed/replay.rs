//! Whether a request is kept for another attempt.

/// How a request is kept for another attempt.
pub trait Replay<Q>: Send + Sync + 'static {
    /// What is kept while an attempt runs.
    type Kept;

    /// Keeps the request, when another attempt may follow.
    fn keep(request: &Q, more: bool) -> Self::Kept;

    /// The request once more; `None` when it was not kept.
    fn again(kept: &mut Self::Kept, more: bool) -> Option<Q>;
}

/// Requests are used once and need not be `Clone`: there is no retry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Once;

/// Requests are cloned while another attempt may follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Again;

impl<Q> Replay<Q> for Once {
    type Kept = ();

    #[inline]
    fn keep(_request: &Q, _more: bool) {}

    fn again(_kept: &mut (), _more: bool) -> Option<Q> {
        None
    }
}

impl<Q: Clone> Replay<Q> for Again {
    type Kept = Option<Q>;

    #[inline]
    fn keep(request: &Q, more: bool) -> Option<Q> {
        more.then(|| request.clone())
    }

    fn again(kept: &mut Option<Q>, more: bool) -> Option<Q> {
        if more { kept.clone() } else { kept.take() }
    }
}
