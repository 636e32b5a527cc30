//! An edge between real sockets: clients on one side, a server of the test's on the other.

mod dialogs;
mod managed;
mod options;
mod relay;
mod requests;
mod responses;
pub(super) mod site;
