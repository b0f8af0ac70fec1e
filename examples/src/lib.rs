//! What the examples of Towpath are made of, shared by the programs, their tests and the benches.

pub mod flights;
