//! For the tests of applications: connections in memory that are real [`Stream`](crate::Stream)s,
//! listeners without a network, virtual time, faults that report how often they fired, and
//! certificates.

mod authority;
mod faults;
mod harness;
mod memory;

pub use authority::{Authority, Issued, Leaf};
pub use faults::{Fault, Faults, Faulty};
pub use harness::Harness;
pub(crate) use memory::MemoryAcceptor;
pub use memory::{Connector, MemoryStream, memory};
