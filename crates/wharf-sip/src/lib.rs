//! SIP as a transport sees it (RFC 3261 §18): what a message says of its own way, and nothing more.
//!
//! The crate opens no socket, reads no clock and draws no entropy: the caller passes [`Instant`]s, seeds and
//! addresses in. It interprets no dialog and no transaction. A message stays the exact bytes that came in.
//!
//! [`Instant`]: std::time::Instant
