//! What the parts that are checked under every interleaving are made of. `tests/model` compiles
//! their source with loom's in its place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use tokio::sync::Notify;
