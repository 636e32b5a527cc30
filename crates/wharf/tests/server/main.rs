//! The server as its users see it.

mod basics;
