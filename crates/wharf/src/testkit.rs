//! For the tests of applications: connections in memory that are real [`Stream`](crate::Stream)s,
//! listeners without a network, virtual time, and faults that report how often they fired.

mod memory;

pub(crate) use memory::MemoryAcceptor;
pub use memory::{Connector, MemoryStream, memory};
