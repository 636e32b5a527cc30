//! What may be asked.

use clap::Subcommand;
use std::fmt;
use std::str::FromStr;

/// What a running daemon may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Order {
    /// Lists the clients over TCP, TLS and WebSockets
    Sessions,
    /// Prints the state, and the counters of the listeners
    Stats,
    /// Drains the server, as SIGTERM does
    Drain,
    /// Prints what a reload of the configuration file would do
    Plan,
    /// Reads the configuration file and the certificates again, as SIGHUP does
    Reload,
    /// Leaves new clients of a listener in the kernel's backlog
    Suspend {
        /// The name of a listener, such as `turn-tcp` or `sip-ws`
        listener: String,
    },
    /// Accepts again
    Resume {
        /// The name of a listener, such as `turn-tcp` or `sip-ws`
        listener: String,
    },
    /// Closes the connection of a client
    Close {
        /// Its number, as `sessions` prints it
        id: u64,
    },
}

impl fmt::Display for Order {
    /// As the socket takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sessions => f.write_str("sessions"),
            Self::Stats => f.write_str("stats"),
            Self::Drain => f.write_str("drain"),
            Self::Plan => f.write_str("plan"),
            Self::Reload => f.write_str("reload"),
            Self::Suspend { listener } => write!(f, "suspend {listener}"),
            Self::Resume { listener } => write!(f, "resume {listener}"),
            Self::Close { id } => write!(f, "close {id}"),
        }
    }
}

impl FromStr for Order {
    /// What is allowed.
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.split_whitespace();
        let listener = |name: &str| name.to_owned();
        let order = match (words.next(), words.next()) {
            (Some("sessions"), None) => Self::Sessions,
            (Some("stats"), None) => Self::Stats,
            (Some("drain"), None) => Self::Drain,
            (Some("plan"), None) => Self::Plan,
            (Some("reload"), None) => Self::Reload,
            (Some("suspend"), Some(name)) => Self::Suspend {
                listener: listener(name),
            },
            (Some("resume"), Some(name)) => Self::Resume {
                listener: listener(name),
            },
            (Some("close"), Some(id)) => Self::Close {
                id: id.parse().map_err(|_| "expected the number of a session")?,
            },
            _ => {
                return Err(
                    "expected sessions, stats, drain, plan, reload, suspend NAME, resume NAME or close ID",
                );
            }
        };
        match words.next() {
            None => Ok(order),
            Some(_) => Err("expected nothing more on the line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let name = || "turn-tls".to_owned();
        for order in [
            Order::Sessions,
            Order::Stats,
            Order::Drain,
            Order::Plan,
            Order::Reload,
            Order::Suspend { listener: name() },
            Order::Resume { listener: name() },
            Order::Close { id: 7 },
        ] {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for line in [
            "",
            "stat",
            "suspend",
            "close -1",
            "close 1 2",
            "stats now",
            "STATS",
        ] {
            assert!(line.parse::<Order>().is_err(), "{line}");
        }
    }
}
