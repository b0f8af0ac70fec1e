//! Our own layers keep to the rules, each alone and all together.

#[path = "ours/around.rs"]
mod around;
#[path = "ours/policies.rs"]
mod policies;
#[path = "ours/shared.rs"]
mod shared;
#[path = "ours/stack.rs"]
mod stack;

use tower::Layer;
use towpath_policy::{Charge, InvalidOptions, Policies, Replay};
use towpath_test::layer::Suite;

/// A suite around layers that are built from options, anew each time.
fn suite<L, R>(policies: impl Fn() -> Policies<L, R> + Send + Sync + 'static) -> Suite
where
    L: Charge<u64>,
    R: Replay<u64, Kept: Send> + 'static,
{
    Suite::new(move |inner| built(policies().build()).layer(inner))
}

fn built<T>(layer: Result<T, InvalidOptions>) -> T {
    layer.expect("the options make sense")
}
