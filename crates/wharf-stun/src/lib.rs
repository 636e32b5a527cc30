//! The STUN and TURN wire format: views over bytes and a writer into bytes. No sockets, no clock, no state.
