//! The Wharf daemon.
fn main() {}
