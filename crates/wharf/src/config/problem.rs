//! What is wrong with a configuration, said so that it can be put right.

use std::fmt;

use toml::Value;

/// The longest value that a problem repeats, in characters.
const SHOWN: usize = 60;

/// One thing that is wrong: the option, the value given, what is allowed and what to do.
///
/// It is shown on one line:
/// `listeners.echo.limits.ipv4-prefix = 40: expected 0 to 32. Bits of an IPv4 source …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key path (`listeners.echo.limits.max-connections`, `listeners.echo.bind[1]`), or the
    /// place in the text (`line 3, column 7`).
    pub key: String,
    /// The value as it was given. `None` where nothing was given, or it may be a secret.
    pub given: Option<String>,
    /// What is allowed.
    pub allowed: String,
    /// What to do about it, or what the option means; may be empty.
    pub advice: String,
}

impl Problem {
    /// A problem without a value to show.
    pub fn new(key: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            given: None,
            allowed: allowed.into(),
            advice: String::new(),
        }
    }

    /// With the value that was given.
    #[must_use]
    pub fn given(mut self, value: impl fmt::Display) -> Self {
        self.given = Some(shown(&value.to_string()));
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(given) = &self.given {
            write!(f, " = {given}")?;
        }
        write!(f, ": {}", self.allowed)?;
        if !self.advice.is_empty() {
            write!(f, ". {}", self.advice)?;
        }
        Ok(())
    }
}

/// Every problem that was found, never only the first; never empty when it is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `Ok` when there is none.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Whether `text` looks like PEM, of which no part is ever shown.
pub(super) fn is_pem(text: &str) -> bool {
    text.contains("-----")
}

/// A value as a problem shows it; `None` for what may hold a secret: PEM, and whole tables.
pub(super) fn shown_value(value: &Value) -> Option<String> {
    match value {
        Value::Table(_) => None,
        _ if is_pem(&value.to_string()) || holds_table(value) => None,
        _ => Some(shown(&value.to_string())),
    }
}

fn holds_table(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(values) => values.iter().any(holds_table),
        _ => false,
    }
}

/// `text` on one line, cut to [`SHOWN`] characters.
fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = (&mut characters)
        .take(SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line() {
        let problem = Problem::new("limits.ipv4-prefix", "expected 0 to 32")
            .given("a\nb")
            .advice("Bits of an IPv4 source.");
        let line = "limits.ipv4-prefix = a b: expected 0 to 32. Bits of an IPv4 source.";
        assert_eq!(problem.to_string(), line);
    }

    #[test]
    fn long_values_are_cut() {
        let problem = Problem::new("key", "no").given("é".repeat(61));
        assert_eq!(problem.given, Some("é".repeat(60) + "…"));
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let pem = Value::from("-----BEGIN PRIVATE KEY-----");
        assert_eq!(shown_value(&pem), None);
        assert_eq!(shown_value(&Value::from(vec![pem])), None);
        let table: toml::Table = "pem = 'x'".parse().unwrap();
        assert_eq!(shown_value(&table.clone().into()), None);
        assert_eq!(shown_value(&Value::Array(vec![table.into()])), None);
        assert_eq!(shown_value(&Value::from(5)), Some("5".to_owned()));
    }
}
