//! Who answers the questions of server location (RFC 3263): DNS, or a table.

mod dns;
mod table;

use std::future::Future;
use std::pin::Pin;

use wharf_sip::locate::{Failure, Query, Records};

pub use dns::{DnsError, DnsOptions, DnsResolver};
pub use table::TableResolver;

/// An answer that is on its way.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Records, Failure>> + Send + 'a>>;

/// Answers the questions of a [`Locator`](wharf_sip::locate::Locator).
///
/// Names are absolute: no search list applies. An answer comes in bounded time, and says apart that there
/// are no records ([`Failure::NxDomain`], [`Failure::NoData`]) and that nobody could say
/// ([`Failure::ServFail`], [`Failure::Timeout`]): the latter never counts as "no records". What is kept
/// of an answer is kept no longer than its TTL.
pub trait Resolver: Send + Sync + 'static {
    /// The records that answer a question.
    fn resolve<'a>(&'a self, query: &'a Query) -> Answer<'a>;
}
