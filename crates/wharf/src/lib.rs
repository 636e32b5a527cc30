//! Socket servers for Linux.
