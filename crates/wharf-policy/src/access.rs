//! Who may connect: ordered rules, the first that matches decides, and no match means allow.
//!
//! [`AccessRules`] judge addresses, [`IdentityRules`] the user and group of a Unix peer. Both are
//! the same list over another kind of [`Pattern`].
//!
//! ```
//! use wharf_policy::access::{AccessRules, IdentityRules, Identity, Verdict};
//!
//! let mut rules = AccessRules::new(vec![
//!     "allow 10.0.0.0/8".parse().unwrap(),
//!     "deny all".parse().unwrap(),
//! ])
//! .unwrap();
//! assert_eq!(rules.check("10.1.2.3".parse().unwrap()), Verdict::Allow);
//! assert_eq!(rules.check("192.0.2.1".parse().unwrap()), Verdict::Deny);
//!
//! // A live edit goes in front, so that it decides before what was there.
//! rules.prepend("deny 10.1.0.0/16".parse().unwrap()).unwrap();
//! assert_eq!(rules.check("10.1.2.3".parse().unwrap()), Verdict::Deny);
//!
//! let unix = IdentityRules::new(vec!["deny uid 1000".parse().unwrap()]).unwrap();
//! assert_eq!(unix.check(Identity { uid: 1000, gid: 33 }), Verdict::Deny);
//! ```

mod pattern;

use std::fmt;
use std::str::FromStr;

pub use pattern::{Identity, Pattern, Principal, Source};

/// What a rule says about those it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// They may come in.
    Allow,
    /// They are refused.
    Deny,
}

impl Verdict {
    /// The word that stands for it in a rule's text: `allow` or `deny`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// One rule: a verdict and whom it is for.
///
/// Its text is the verdict, a space, and the pattern: `allow 10.0.0.0/8`, `deny 2001:db8::1`,
/// `deny all` for a [`Source`]; `allow uid 1000`, `allow gid 33`, `deny all` for a [`Principal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule<P> {
    /// What the rule says.
    pub verdict: Verdict,
    /// Whom it says it about.
    pub source: P,
}

/// A text that is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a rule: expected \"allow\" or \"deny\" and then {expected}")]
pub struct ParseRuleError {
    /// The text as it was given.
    pub text: String,
    /// What may follow the verdict, in words.
    pub expected: &'static str,
}

impl<P: Pattern> FromStr for Rule<P> {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        parse(text).ok_or_else(|| ParseRuleError {
            text: text.to_owned(),
            expected: P::EXPECTED,
        })
    }
}

fn parse<P: Pattern>(text: &str) -> Option<Rule<P>> {
    let (verdict, pattern) = text.trim().split_once(char::is_whitespace)?;
    let verdict = match verdict {
        "allow" => Verdict::Allow,
        "deny" => Verdict::Deny,
        _ => return None,
    };
    let source = P::parse(pattern.trim_start())?;
    Some(Rule { verdict, source })
}

impl<P: fmt::Display> fmt::Display for Rule<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verdict, self.source)
    }
}

/// A rule that the list already has: the same verdict for the same pattern. The list is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule \"{rule}\" is already in the list")]
pub struct DuplicateRule {
    /// The rule, as text.
    pub rule: String,
}

/// A rule that should be removed and is not in the list. The list is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule \"{rule}\" is not in the list")]
pub struct AbsentRule {
    /// The rule, as text.
    pub rule: String,
}

/// Rules on source addresses.
pub type AccessRules = Rules<Source>;

/// Rules on the user and group of a Unix peer.
pub type IdentityRules = Rules<Principal>;

/// An ordered list of rules. The first one that matches decides; where none does, the verdict is
/// [`Verdict::Allow`]. The empty list, which is the default, allows everyone.
///
/// A check walks the list and compares two integers a rule: some nanoseconds for a few rules, under
/// a microsecond for hundreds. An edit walks it as well; [`new`](Self::new) and
/// [`replace`](Self::replace) compare every pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules<P>(Vec<Rule<P>>);

impl<P> Default for Rules<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: Pattern> Rules<P> {
    /// The rules in this order.
    pub fn new(rules: Vec<Rule<P>>) -> Result<Self, DuplicateRule> {
        let mut list = Self(Vec::with_capacity(rules.len()));
        for rule in rules {
            let rule = list.admissible(rule)?;
            list.0.push(rule);
        }
        Ok(list)
    }

    /// What the rules say about `peer`.
    pub fn check(&self, peer: P::Peer) -> Verdict {
        let peer = P::canonical_peer(peer);
        let rule = self.0.iter().find(|rule| rule.source.matches(peer));
        rule.map_or(Verdict::Allow, |rule| rule.verdict)
    }

    /// Puts a rule in front of the others, so that it decides first.
    pub fn prepend(&mut self, rule: Rule<P>) -> Result<(), DuplicateRule> {
        let rule = self.admissible(rule)?;
        self.0.insert(0, rule);
        Ok(())
    }

    /// Takes a rule out of the list.
    pub fn remove(&mut self, rule: &Rule<P>) -> Result<(), AbsentRule> {
        match self.position(canonical(*rule)) {
            Some(index) => {
                self.0.remove(index);
                Ok(())
            }
            None => Err(AbsentRule {
                rule: rule.to_string(),
            }),
        }
    }

    /// Puts these rules in place of all; on error the present ones stay.
    pub fn replace(&mut self, rules: Vec<Rule<P>>) -> Result<(), DuplicateRule> {
        *self = Self::new(rules)?;
        Ok(())
    }

    /// The rules in order, each pattern in canonical form.
    pub fn rules(&self) -> &[Rule<P>] {
        &self.0
    }

    /// The rule in canonical form, if the list has no such rule.
    fn admissible(&self, rule: Rule<P>) -> Result<Rule<P>, DuplicateRule> {
        let rule = canonical(rule);
        match self.position(rule) {
            None => Ok(rule),
            Some(_) => Err(DuplicateRule {
                rule: rule.to_string(),
            }),
        }
    }

    fn position(&self, rule: Rule<P>) -> Option<usize> {
        self.0.iter().position(|present| *present == rule)
    }
}

fn canonical<P: Pattern>(rule: Rule<P>) -> Rule<P> {
    Rule {
        verdict: rule.verdict,
        source: rule.source.canonical(),
    }
}

#[cfg(test)]
mod tests;
