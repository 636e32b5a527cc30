//! What can be seen of a server: events, logs, spans, health, alarms, metrics.

mod alarms;
mod logs;
mod prometheus;
mod receivers;
mod support;
mod tcp;
