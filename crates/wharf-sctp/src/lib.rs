//! SCTP without a socket: a front that keeps no state before a good cookie, and associations.
