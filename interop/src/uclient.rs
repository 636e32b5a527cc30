//! coturn's test client and the figures it prints.

use std::process::Command;
use std::time::Duration;

use crate::{Process, tool};

/// A run of the client may take this long, with everything else the machine does meanwhile.
const RUN: Duration = Duration::from_secs(90);

/// What stands before the number of messages received.
const RECEIVED: &str = "tot_recv_msgs=";

/// One run of `turnutils_uclient`: 3 messages of 100 bytes each way per stream unless told.
#[derive(Debug)]
pub struct Uclient {
    command: Command,
    server: String,
}

impl Uclient {
    /// A client for the server at 127.0.0.1 and `port`, whose peer listens on `peer_port`.
    pub(crate) fn new(port: u16, peer_port: u16) -> Self {
        let mut command = tool("turnutils_uclient");
        command.args([
            "-p",
            &port.to_string(),
            "-r",
            &peer_port.to_string(),
            "-n",
            "3",
        ]);
        Self {
            command,
            server: "127.0.0.1".to_owned(),
        }
    }

    /// Adds the tool's own flags, separated by spaces. A later flag overrides an earlier one.
    #[must_use]
    pub fn flags(mut self, flags: &str) -> Self {
        self.command.args(flags.split_whitespace());
        self
    }

    /// Authenticates as `name` with `password`.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.command.args(["-u", name, "-w", password]);
        self
    }

    /// Derives a TURN REST credential from `secret`, whatever user was set.
    #[must_use]
    pub fn secret(mut self, secret: &str) -> Self {
        self.command.args(["-W", secret]);
        self
    }

    /// Connects to the server at `address`.
    #[must_use]
    pub fn to_server(mut self, address: &str) -> Self {
        address.clone_into(&mut self.server);
        self
    }

    /// Sends to the echo peer at `address`. Without it (and with `-y`) clients send to each other.
    #[must_use]
    pub fn to_peer(mut self, address: &str) -> Self {
        self.command.args(["-e", address]);
        self
    }

    /// Runs the client to its end.
    #[must_use]
    pub fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Starts the client, which runs on beside the test.
    #[must_use]
    pub fn start(mut self) -> Running {
        self.command.arg(&self.server);
        Running {
            process: Process::spawn(&self.command),
        }
    }
}

/// A client that runs beside the test.
#[derive(Debug)]
pub struct Running {
    process: Process,
}

impl Running {
    /// Waits until the client has got its first message back, which it reports once a second.
    pub fn wait_until_relaying(&self) {
        let relaying = |line: &str| number_after(line, RECEIVED).is_some_and(|count| count > 0);
        self.process.wait_for_line(RUN, relaying);
    }

    /// Waits for the client's end.
    #[must_use]
    pub fn finish(self) -> Outcome {
        let finished = self.process.finish(RUN);
        Outcome {
            success: finished.status.success(),
            output: finished.output,
        }
    }
}

/// What a run of the client printed.
#[derive(Debug)]
pub struct Outcome {
    success: bool,
    output: String,
}

/// The figures at the end of a run.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    sent: u64,
    received: u64,
    sent_bytes: u64,
    received_bytes: u64,
    lost: u64,
    dropped: u64,
}

impl Outcome {
    /// Asserts that exactly `messages` of `length` bytes went out, that all came back whole, and
    /// that the client counted no loss. Its exit code alone would be 0 with all of them lost.
    pub fn assert_relayed(&self, messages: u64, length: u64) {
        assert!(self.success, "the client failed:\n{}", self.output);
        let bytes = messages * length;
        let expected = Figures {
            sent: messages,
            received: messages,
            sent_bytes: bytes,
            received_bytes: bytes,
            lost: 0,
            dropped: 0,
        };
        assert_eq!(
            self.figures().as_ref(),
            Some(&expected),
            "in:\n{}",
            self.output
        );
    }

    /// Asserts that exactly `messages` went out, whatever the client says came back.
    ///
    /// For clients over TLS: this client takes what one read of the TLS layer gives for one message,
    /// and loses the others when the server, or its own TCP, has put several together. What the server
    /// relayed is for [`Counters::assert_relayed`](crate::Counters::assert_relayed) to judge.
    pub fn assert_sent(&self, messages: u64) {
        assert!(self.success, "the client failed:\n{}", self.output);
        let sent = self
            .figures()
            .map(|figures| (figures.sent, figures.dropped));
        assert_eq!(sent, Some((messages, 0)), "in:\n{}", self.output);
    }

    /// Asserts that the client ended with a failure, relayed nothing, and says `reason`. Error
    /// codes are printed only with the flag `-v`.
    pub fn assert_refused(&self, reason: &str) {
        assert!(!self.success, "the client succeeded:\n{}", self.output);
        assert!(
            self.output.contains(reason),
            "no {reason:?} in:\n{}",
            self.output
        );
        assert_eq!(self.figures(), None, "the client relayed:\n{}", self.output);
    }

    /// The figures, or `None` when the client ended before it printed any.
    fn figures(&self) -> Option<Figures> {
        let last = |name| number_after(&self.output, name);
        Some(Figures {
            sent: last("tot_send_msgs=")?,
            received: last(RECEIVED)?,
            sent_bytes: last("tot_send_bytes ~ ")?,
            received_bytes: last("tot_recv_bytes ~ ")?,
            lost: last("Total lost packets ")?,
            dropped: last("total send dropped ")?,
        })
    }
}

/// The number behind the last `name` in `text`: the lines of progress name the figures before the
/// final ones do.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let (_, number) = text.rsplit_once(name)?;
    let end = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    number[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lost: u64) -> Outcome {
        let output = format!(
            "start_mclient: msz=1, tot_send_msgs=2, tot_recv_msgs=1, tot_send_bytes ~ 0, \
             tot_recv_bytes ~ 0\n\
             start_mclient: tot_send_msgs=3, tot_recv_msgs=3\n\
             start_mclient: tot_send_bytes ~ 300, tot_recv_bytes ~ 300\n\
             Total lost packets {lost} (0.000000%), total send dropped 0 (0.000000%)\n"
        );
        Outcome {
            success: true,
            output,
        }
    }

    #[test]
    fn the_final_figures_count() {
        outcome(0).assert_relayed(3, 100);
    }

    #[test]
    #[should_panic(expected = "lost: 1")]
    fn loss_is_a_failure_whatever_the_exit_code() {
        outcome(1).assert_relayed(3, 100);
    }

    #[test]
    #[should_panic(expected = "sent: 3")]
    fn fewer_messages_than_expected_are_a_failure() {
        outcome(0).assert_relayed(6, 100);
    }

    #[test]
    #[should_panic(expected = "the client succeeded")]
    fn a_success_is_no_refusal() {
        outcome(0).assert_refused("401");
    }
}
