//! x
mod converges;
mod simulation;
