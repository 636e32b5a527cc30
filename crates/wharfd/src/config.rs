//! The configuration file: TOML in, [`Settings`] or every [`Problem`] out.
//!
//! Raw values become checked ones once, here. `docs/configuration.md` describes each key.

mod changes;
mod checks;
mod leaf;
mod listeners;
mod read;
mod section;
mod settings;
mod sip;
mod suggest;
#[cfg(test)]
mod tests;
mod units;

pub use changes::{Changes, changes};
pub use listeners::{DTLS, TCP, TLS, listeners, problem_in_file};
pub use settings::*;
pub use sip::{Listening, Sip, names as sip_names};
pub use units::duration;

use crate::problem::{Problem, Problems};
use section::Reader;
use std::path::Path;
use toml::Table;
use wharf::tls::{ServerTls, TlsError, TlsProblem};

impl Settings {
    /// Reads the settings from a parsed document.
    pub fn from_table(table: &Table) -> Result<Self, Problems> {
        let mut reader = Reader::default();
        let settings = reader.document(table, read::settings);
        checks::all(&settings, &mut reader);
        reader.finish().map(|()| settings)
    }

    /// Reads the settings from a file's content.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        Self::from_table(&table("configuration", text)?)
    }
}

/// Reads the settings from a file, and whether the certificates that it names are good, and keeps what the file said to compare it with a later reading.
pub fn load(path: &Path) -> Result<(Settings, Source), Problems> {
    let shown = path.display().to_string();
    let unreadable = |error| Problem::new(&shown, format!("cannot be read: {error}"));
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let table = table(&shown, &text)?;
    let settings = Settings::from_table(&table)?;
    certificates(&settings)?;
    Ok((
        settings,
        Source {
            path: path.to_owned(),
            table,
        },
    ))
}

/// Opens the files that TLS and DTLS need. Whoever checks a configuration wants to know before the
/// start.
fn certificates(settings: &Settings) -> Result<(), Problems> {
    let sip = &settings.sip;
    if !(settings.listen.tls.is_empty() && sip.tls.is_empty() && sip.wss.is_empty()) {
        opened(ServerTls::new(&settings.tls))?;
    }
    if sip.is_on() {
        crate::sip::check_upstream_tls(sip)?;
    }
    dtls_certificates(settings).map(drop)
}

/// Opens the files that DTLS needs; nothing where it is not spoken.
pub fn dtls_certificates(settings: &Settings) -> Result<Option<ServerTls>, Problems> {
    if settings.listen.dtls.is_empty() {
        return Ok(None);
    }
    let options = listeners::dtls_options(&settings.dtls);
    opened(ServerTls::for_dtls(&settings.tls, &options)).map(Some)
}

fn opened(tls: Result<ServerTls, TlsError>) -> Result<ServerTls, Problems> {
    let problem = |problem: TlsProblem| Problem {
        at: format!("tls.{}", problem.key),
        given: problem.file.map(|file| file.display().to_string()),
        reason: problem.fault.to_string(),
    };
    tls.map_err(|error| Problems(error.0.into_iter().map(problem).collect()))
}

/// Every key that a configuration file may have, as a full path.
pub fn keys() -> Vec<String> {
    let mut reader = Reader::default();
    reader.document(&Table::new(), read::settings);
    reader.into_known()
}

fn table(name: &str, text: &str) -> Result<Table, Problem> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        Problem::new(format!("{name}:{line}"), error.message())
    })
}
