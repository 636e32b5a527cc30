//! For the tests of applications: connections in memory that are real [`Stream`](crate::Stream)s,
//! listeners without a network, virtual time, faults that report how often they fired, and
//! certificates.

mod authority;
mod memory;

pub use authority::{Authority, Issued, Leaf};
pub(crate) use memory::MemoryAcceptor;
pub use memory::{Connector, MemoryStream, memory};
