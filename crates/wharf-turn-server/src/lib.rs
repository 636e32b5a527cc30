//! Runs the TURN core: workers, relay sockets, credential back-ends, counters.
