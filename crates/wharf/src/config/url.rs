//! A listener in one line: `tls://[::]:5061?cert=/a.pem&key=/a.key&limits.max-connections=100`.

use form_urlencoded::parse;
use toml::{Table, Value};

use super::key::{KeyPath, Step};
use super::problem::{Problem, Problems};
use super::read::read_noting;
use super::{Address, ListenerConfig, schema};

/// The longest URL, in bytes.
const LONGEST: usize = 64 << 10;
/// The most parts of a key path; the deepest option has fewer.
const DEEPEST: usize = 8;
/// The characters of a key that is too deep which a problem repeats.
const LONGEST_KEY: usize = 60;
/// The schemes, with whether their address is a Unix socket.
const SCHEMES: [(&str, &str, bool); 13] = [
    ("tcp", "tcp", false),
    ("tls", "tls", false),
    ("ws", "ws", false),
    ("wss", "wss", false),
    ("unix", "unix", true),
    ("tls+unix", "tls", true),
    ("ws+unix", "ws", true),
    ("wss+unix", "wss", true),
    ("quic", "quic", false),
    ("udp", "udp", false),
    ("unixgram", "unixgram", true),
    ("sctp", "sctp", false),
    ("dtls", "dtls", false),
];

impl ListenerConfig {
    /// Reads a listener from a URL and checks it; every problem is told at once.
    ///
    /// The scheme is the transport (`tcp`, `tls`, `ws`, `wss`, `unix`, and `tls+unix`, `ws+unix`,
    /// `wss+unix` for Unix addresses, `quic`, `sctp`, `udp`, `unixgram`, `dtls`), what follows it the first address:
    /// `tcp://[::]:7000`,
    /// `unix:///run/x.sock`, `unix:@name`, `tls://systemd:NAME`. The query holds options by their
    /// key path; a name that only one option has will do alone (`max-connections`). A list's key is
    /// repeated; `cert`, `key` and `name` together are a certificate, several if repeated (then
    /// without `name`). Everything is percent-encoded as usual, at most 64 KiB.
    ///
    /// ```
    /// use wharf::config::ListenerConfig;
    ///
    /// let url = "tls://[::]:5061?cert=/a.pem&key=/a.key&max-connections=100&access=deny%2010.0.0.0/8";
    /// let listener = ListenerConfig::from_url(url).unwrap();
    /// assert_eq!(listener.limits.max_connections, 100);
    /// assert_eq!(listener.access[0].to_string(), "deny 10.0.0.0/8");
    /// ```
    pub fn from_url(url: &str) -> Result<Self, Problems> {
        if url.len() > LONGEST {
            return Err(Problems(vec![Problem::new(
                "url",
                "expected at most 64 KiB",
            )]));
        }
        let mut reading = Reading {
            schema: schema::tree::<Self>(),
            table: Table::new(),
            certificates: [const { Vec::new() }; 3],
            problems: Vec::new(),
            taken: Vec::new(),
        };
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        reading.place(place);
        for (key, value) in parse(query.as_bytes()) {
            reading.pair(&key, &value);
        }
        reading.add_certificates();
        let Reading {
            table,
            mut problems,
            mut taken,
            ..
        } = reading;
        let config: Option<Self> = read_noting(table.into(), "", &mut problems, &mut taken);
        let Some(config) = config else {
            return Err(Problems(problems));
        };
        config.check_beside(&taken, &mut problems);
        Problems(problems).into_result().map(|()| config)
    }
}

struct Reading {
    schema: serde_json::Value,
    table: Table,
    /// The values of `cert`, `key` and `name`.
    certificates: [Vec<String>; 3],
    problems: Vec<Problem>,
    /// Keys that could not be read.
    taken: Vec<String>,
}

impl Reading {
    fn wrong(&mut self, problem: Problem) {
        self.taken.push(problem.key.clone());
        self.problems.push(problem);
    }

    /// The scheme and the address.
    fn place(&mut self, place: &str) {
        let (scheme, rest) = place.split_once(':').unwrap_or((place, ""));
        let Some((_, transport, unix)) = SCHEMES.iter().find(|known| known.0 == scheme) else {
            let known = SCHEMES.map(|scheme| scheme.0).join(", ");
            let problem = Problem::new(
                "transport",
                format!("expected a URL with the scheme {known}"),
            );
            self.wrong(problem.given(scheme).advice("For example tcp://[::]:7000."));
            self.taken.push("bind".to_owned());
            return;
        };
        self.table
            .insert("transport".to_owned(), (*transport).into());
        let address = decoded(rest.strip_prefix("//").unwrap_or(rest));
        let fits = match address.parse() {
            Ok(Address::Ip(_)) => !unix,
            Ok(Address::Path(_) | Address::Abstract(_)) => *unix,
            Ok(_) => true,
            Err(_) => false,
        };
        if fits {
            self.table
                .insert("bind".to_owned(), vec![Value::from(address)].into());
            return;
        }
        let problem = Problem::new(
            "bind[0]",
            if *unix {
                format!(
                    "expected a path or a name, as in {scheme}:///run/app.sock or {scheme}:@name"
                )
            } else {
                format!("expected an IP address and a port, as in {scheme}://[::]:7000")
            },
        );
        self.wrong(problem.given(address));
    }

    /// One key and value of the query.
    fn pair(&mut self, key: &str, value: &str) {
        match key {
            "" if value.is_empty() => {}
            "transport" => {
                let problem = Problem::new("transport", "is given by the scheme");
                self.wrong(problem.advice("Remove it."));
            }
            "cert" => self.certificates[0].push(value.to_owned()),
            "key" => self.certificates[1].push(value.to_owned()),
            "name" => self.certificates[2].push(value.to_owned()),
            _ => match self.full(key) {
                Ok(path) => self.insert(&path, value),
                Err(problem) => self.wrong(problem),
            },
        }
    }

    /// The key path that `key` stands for.
    fn full(&self, key: &str) -> Result<KeyPath, Problem> {
        let path = |key: &str| {
            let steps = key.split('.').map(|key| Step::Key(key.to_owned()));
            KeyPath(steps.collect())
        };
        if key.split('.').count() > DEEPEST {
            let key: String = key.chars().take(LONGEST_KEY).collect();
            return Err(Problem::new(path(&key).to_string(), "unknown key"));
        }
        if key.contains('.') || schema::at(&self.schema, &path(key)).is_some() {
            return Ok(path(key));
        }
        let leaves = schema::leaves(&self.schema);
        let named = |leaf: &&str| leaf.rsplit_once('.').is_some_and(|(_, name)| name == key);
        let meant: Vec<&str> = leaves
            .iter()
            .map(|leaf| leaf.0.as_str())
            .filter(named)
            .collect();
        match meant.as_slice() {
            [] => Ok(path(key)),
            [one] => Ok(path(one)),
            several => Err(
                Problem::new(key, format!("may mean {}", several.join(" or ")))
                    .advice("Write the whole key."),
            ),
        }
    }

    /// Puts a value where the path says; what is not an option is found when the table is read.
    fn insert(&mut self, path: &KeyPath, text: &str) {
        let schema = schema::at(&self.schema, path);
        let list = schema.filter(|schema| schema::takes(schema, "array"));
        let value = match list {
            Some(list) => typed(list.get("items"), text),
            None => typed(schema, text),
        };
        let placed = place(&mut self.table, &path.0, value, list.is_some());
        if !placed {
            let problem = Problem::new(
                path.to_string(),
                "is given twice, or as a value and as a section",
            );
            self.wrong(problem.advice("Only the keys of lists are repeated."));
        }
    }

    fn add_certificates(&mut self) {
        let [certs, keys, names] = std::mem::take(&mut self.certificates);
        if certs.len() != keys.len() {
            let problem = Problem::new(
                "tls.certificates",
                "expected a key for each cert, and a cert for each key",
            );
            self.wrong(problem.given(format!("{} cert, {} key", certs.len(), keys.len())));
            return;
        }
        if !names.is_empty() && certs.len() != 1 {
            let problem = Problem::new(
                "tls.certificates",
                "expected one cert and one key beside name",
            );
            self.wrong(problem.advice("The names of several certificates are those in them."));
            return;
        }
        let names: Vec<Value> = names.into_iter().map(Value::from).collect();
        let step = |key: &str| Step::Key(key.to_owned());
        for (cert, key) in certs.into_iter().zip(keys) {
            let mut certificate = Table::new();
            certificate.insert("cert".to_owned(), cert.into());
            certificate.insert("key".to_owned(), key.into());
            certificate.insert("names".to_owned(), names.clone().into());
            let path = [step("tls"), step("certificates")];
            if !place(&mut self.table, &path, certificate.into(), true) {
                self.wrong(Problem::new("tls", "is given as a value and as a section"));
            }
        }
    }
}

/// Puts `value` into the table, or at the end of the list, at `path`; false when something else is
/// in the way.
fn place(table: &mut Table, path: &[Step], value: Value, list: bool) -> bool {
    let [Step::Key(key), rest @ ..] = path else {
        return false;
    };
    let empty = if rest.is_empty() {
        Value::Array(Vec::new())
    } else {
        Table::new().into()
    };
    if rest.is_empty() && !list {
        return !table.contains_key(key) && table.insert(key.clone(), value).is_none();
    }
    match table.entry(key.clone()).or_insert(empty) {
        Value::Table(table) if !rest.is_empty() => place(table, rest, value, list),
        Value::Array(values) if rest.is_empty() => {
            values.push(value);
            true
        }
        _ => false,
    }
}

/// The text as the type that its option has; as text where it is not of that type, which is found
/// when the table is read.
fn typed(schema: Option<&serde_json::Value>, text: &str) -> Value {
    let takes = |kind| schema.is_some_and(|schema| schema::takes(schema, kind));
    let value = if takes("string") {
        None
    } else if takes("boolean") {
        text.parse().ok().map(Value::Boolean)
    } else if takes("integer") {
        text.parse().ok().map(Value::Integer)
    } else {
        None
    };
    value.unwrap_or_else(|| text.into())
}

/// Percent-decodes an address, in which `+`, `&` and `=` are themselves.
pub(crate) fn decoded(text: &str) -> String {
    let text = text
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    parse(text.as_bytes())
        .next()
        .map_or_else(String::new, |(text, _)| text.into_owned())
}

#[cfg(test)]
mod tests;
