//! Measures what the extension costs, beside a baseline measured in the same run.
fn main() {}
