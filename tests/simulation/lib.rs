//! A virtual platform, function and backend around the real policy: one seed decides everything.

mod bounds;
mod checks;
mod coverage;
mod disk;
mod faults;
mod function;
mod sampling;
mod world;

pub use coverage::Coverage;
pub use world::{Story, World};
