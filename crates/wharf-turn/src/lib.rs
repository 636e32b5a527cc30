//! The TURN server's rules as a state machine: bytes and time in, effects out. No sockets, no clock, no entropy of its own.
