//! A virtual platform, function and backend around the real policy: one seed decides everything.

mod bounds;
mod checks;
mod coverage;
mod disk;
mod faults;
mod function;
pub mod open;
mod row;
mod sampling;
mod world;

pub use coverage::Coverage;
pub use row::{MODES, Row, rows};
pub use world::{Served, Story, World};
