//! Checks a configuration: ranges, and options that need or exclude each other.
//!
//! An option that would be ignored where it is given is an error, so that nobody relies on it.

mod binds;
mod datagrams;
mod demux;
mod dtls;
mod kinds;
mod protocols;
mod quic;
mod ranges;
mod sctp;
mod workers;

use std::fmt::{Display, Write};

use super::key::quoted;
use super::{
    DtlsOptions, ListenerConfig, Problem, Problems, QuicOptions, SctpOptions, ServerConfig,
};

/// The longest listener name, in characters.
const LONGEST_NAME: usize = 63;

impl ServerConfig {
    /// Checks all ranges and all rules between options; every problem is told at once.
    ///
    /// ```
    /// use wharf::config::{ListenerConfig, ServerConfig};
    ///
    /// let mut config = ServerConfig::default();
    /// config.listeners.insert("echo".into(), ListenerConfig::default());
    /// let problems = config.check().unwrap_err();
    /// assert_eq!(problems.0[0].key, "listeners.echo.bind");
    /// ```
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Vec::new();
        self.check_beside(&[], &mut problems);
        Problems(problems).into_result()
    }

    /// Checks what is left when the key paths `taken` could not be read, and adds to `problems`
    /// what does not follow from that.
    pub(super) fn check_beside(&self, taken: &[String], problems: &mut Vec<Problem>) {
        let mut checker = Checker::new("", taken);
        ranges::server(self, &mut checker);
        problems.append(&mut checker.found);
        for (name, listener) in &self.listeners {
            listener.check_as(name, taken, problems);
        }
        let mut checker = Checker::new("", taken);
        binds::overlaps(&self.listeners, &mut checker);
        problems.append(&mut checker.found);
    }
}

/// What is wrong by itself with options that listeners and clients share.
pub(crate) fn shared_problems(
    quic: &QuicOptions,
    dtls: &DtlsOptions,
    sctp: &SctpOptions,
) -> Vec<Problem> {
    let mut checker = Checker::new("", &[]);
    quic::ranges(quic, &mut checker);
    dtls::ranges(dtls, &mut checker);
    sctp::ranges(sctp, &mut checker);
    checker.found
}

impl ListenerConfig {
    /// Checks a listener that will have this name, alone: whether its addresses are free beside
    /// other listeners is [`ServerConfig::check`]'s.
    pub fn check(&self, name: &str) -> Result<(), Problems> {
        let mut problems = Vec::new();
        self.check_as(name, &[], &mut problems);
        Problems(problems).into_result()
    }

    fn check_as(&self, name: &str, taken: &[String], problems: &mut Vec<Problem>) {
        let mut checker = Checker::new(&format!("listeners.{}", quoted(name)), taken);
        if !is_name(name) {
            let allowed = "expected a name of 1 to 63 lower-case letters, digits and hyphens";
            checker.problem("", None::<&str>, allowed, "It appears in logs and metrics.");
        }
        self.check_options(&mut checker);
        problems.append(&mut checker.found);
    }

    /// Checks the options, with key paths below that of `checker`.
    fn check_options(&self, checker: &mut Checker<'_>) {
        ranges::listener(self, checker);
        datagrams::check(self, checker);
        protocols::check(self, checker);
        kinds::check(self, checker);
        quic::check(self, checker);
        sctp::check(self, checker);
        dtls::check(self, checker);
        demux::check(self, checker);
        workers::check(self, checker);
    }

    /// Checks what is left when the key paths `taken`, which begin at the listener, could not be
    /// read.
    pub(super) fn check_beside(&self, taken: &[String], problems: &mut Vec<Problem>) {
        let mut checker = Checker::new("", taken);
        self.check_options(&mut checker);
        problems.append(&mut checker.found);
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(legal)
}

/// Collects problems below one key path.
struct Checker<'a> {
    at: String,
    /// Key paths that could not be read: what is said about them would be about a default.
    taken: &'a [String],
    found: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn new(at: &str, taken: &'a [String]) -> Self {
        Self {
            at: at.to_owned(),
            taken,
            found: Vec::new(),
        }
    }

    /// The full key path of `key`, with each index as it was before elements were taken out.
    fn path(&self, key: &str) -> String {
        let now = match (self.at.as_str(), key) {
            ("", _) => key.to_owned(),
            (at, "") => at.to_owned(),
            (at, _) => format!("{at}.{key}"),
        };
        let mut parts = now.split('[');
        let mut path = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let index = part.split_once(']');
            match index.and_then(|(index, rest)| Some((index.parse().ok()?, rest))) {
                Some((index, rest)) => {
                    let index = self.index_as_given(&path, index);
                    // Writing to a string cannot fail.
                    let _ = write!(path, "[{index}]{rest}");
                }
                None => path.extend(["[", part]),
            }
        }
        path
    }

    fn index_as_given(&self, list: &str, index: usize) -> usize {
        let element = |taken: &String| {
            let index = taken.strip_prefix(list)?.strip_prefix('[')?;
            index.strip_suffix(']')?.parse::<usize>().ok()
        };
        let mut taken: Vec<usize> = self.taken.iter().filter_map(element).collect();
        taken.sort_unstable();
        let past = |index, taken| index + usize::from(taken <= index);
        taken.into_iter().fold(index, past)
    }

    /// Whether the value of `key`, a part of it or what it is part of could not be read.
    fn is_broken(&self, key: &str) -> bool {
        let path = self.path(key);
        let within = |part: &str, whole: &str| {
            let rest = part.strip_prefix(whole);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let mut taken = self.taken.iter();
        taken.any(|taken| within(taken, &path) || within(&path, taken))
    }

    fn problem(&mut self, key: &str, given: Option<impl Display>, allowed: &str, advice: &str) {
        if self.is_broken(key) {
            return;
        }
        let problem = Problem::new(self.path(key), allowed).advice(advice);
        self.found.push(match given {
            Some(given) => problem.given(given),
            None => problem,
        });
    }

    /// A problem unless `holds`.
    fn expect(&mut self, holds: bool, key: &str, given: impl Display, allowed: &str, advice: &str) {
        if !holds {
            self.problem(key, Some(given), allowed, advice);
        }
    }
}

#[cfg(test)]
mod tests;
