//! Socket servers for Linux.

pub mod config;
