//! Policy from outside, told as stories: inputs in virtual time, and what it wants done.
//!
//! One binary for all of them: each further one is a link of a second.

mod announced;
mod books;
mod borders;
mod condensed;
mod connect;
mod counted;
mod crowded;
mod deaths;
mod doubt;
mod dying;
mod ending;
mod far;
mod lanes;
mod late;
mod livelock;
mod local;
mod logged;
mod made;
mod managed;
mod many;
mod metered;
mod pace;
mod probe;
mod records;
mod refused;
mod retried;
mod room;
mod roots;
mod said;
mod sampling;
mod spanning;
mod story;
mod thaw;
mod told;
mod turns;
