//! Verdicts from addresses, counters and time: peer rules, token buckets, quotas. No sockets, no clock.
