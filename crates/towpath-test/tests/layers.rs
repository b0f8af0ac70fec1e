//! The conformance suite of layers: tower's own and ours pass, each broken one is found.

#[path = "layers/broken.rs"]
mod broken;
#[path = "layers/ours.rs"]
mod ours;
#[path = "layers/theirs.rs"]
mod theirs;
