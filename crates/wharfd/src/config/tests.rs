//! Every key takes effect; every mistake is found, all of them at once.

mod mistakes;
mod sip;
mod takes_effect;

/// The smallest valid configuration.
const LEAST: &str = "
[listen]
udp = ['127.0.0.1:3478']
[auth]
users = { alice = 'wonderland' }
";
