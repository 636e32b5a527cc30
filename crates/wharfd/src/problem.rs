//! What is wrong with the input, said so that the operator can put it right.

use std::fmt;

/// One thing that keeps the server from starting: where it is, what was given and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key path (`relay.ports`, `listen.udp[1]`), the file, or the address concerned.
    pub at: String,
    /// The value as written; `None` where nothing was given or the value is a secret.
    pub given: Option<String>,
    /// What is allowed and what to do about it.
    pub reason: String,
}

impl Problem {
    /// A problem without a value to show.
    pub fn new(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            given: None,
            reason: reason.into(),
        }
    }
}

impl From<wharf::config::Problem> for Problem {
    fn from(problem: wharf::config::Problem) -> Self {
        let wharf::config::Problem {
            key,
            given,
            allowed,
            advice,
        } = problem;
        let reason = match advice.as_str() {
            "" => allowed,
            advice => format!("{allowed}. {advice}"),
        };
        Self {
            at: key,
            given,
            reason,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Some(given) => write!(f, "{} = {given}: {}", self.at, self.reason),
            None => write!(f, "{}: {}", self.at, self.reason),
        }
    }
}

/// Every problem that was found, never only the first; never empty when returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}
