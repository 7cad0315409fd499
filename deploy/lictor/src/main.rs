//! The lictor executable.
fn main() {}
