//! Time-limited credentials that any server with the same secret verifies
//! (draft-uberti-behave-turn-rest §2.2).

use crate::cli;
use crate::problem::Problem;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wharf_stun::credential::{long_term_md5, long_term_sha256, opaque_string};
use wharf_turn_server::rest_password;

/// A user name that says when it expires, and the password that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// `EXPIRY:NAME`, the expiry in seconds since 1970.
    pub username: String,
    /// Base64 of HMAC-SHA1 over the user name, keyed with the secret.
    pub password: String,
}

impl Credential {
    /// Makes the credential of `name` that expires at `expiry`, in seconds since 1970.
    pub fn new(secret: &str, name: &str, expiry: u64) -> Self {
        let username = format!("{expiry}:{name}");
        let password = rest_password(secret.as_bytes(), &username);
        Self { username, password }
    }
}

/// What `wharfd credentials` prints.
pub fn print(options: &cli::Credentials, now: SystemTime) -> Result<String, Problem> {
    let secret = match (&options.secret, &options.secret_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(file)) => {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(file);
            let text =
                text.map_err(|error| Problem::new(shown, format!("cannot be read: {error}")))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        (None, None) => String::new(),
    };
    if secret.is_empty() {
        return Err(Problem::new(
            "secret",
            "is empty; give --secret or --secret-file",
        ));
    }
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let expiry = since.saturating_add(options.ttl).as_secs();
    let credential = Credential::new(&secret, &options.user, expiry);
    let mut fields = vec![
        ("username", credential.username.clone()),
        ("password", credential.password.clone()),
    ];
    if let Some(realm) = &options.realm {
        let realm =
            opaque_string(realm).map_err(|error| Problem::new("realm", error.to_string()))?;
        let (user, password) = (&credential.username, &credential.password);
        fields.push(("realm", realm.clone().into_owned()));
        fields.push(("key-md5", hex(&long_term_md5(user, &realm, password))));
        fields.push(("key-sha256", hex(&long_term_sha256(user, &realm, password))));
    }
    if options.json {
        let mut object: serde_json::Map<_, _> = fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        object.insert("ttl".to_owned(), json!(options.ttl.as_secs()));
        return Ok(serde_json::Value::Object(object).to_string());
    }
    let lines: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    Ok(lines.join("\n"))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> cli::Credentials {
        use clap::Parser as _;
        let line = format!("wharfd credentials {arguments}");
        match cli::Cli::parse_from(line.split(' ')).command {
            Some(cli::Command::Credentials(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    /// `printf 1700003600:alice | openssl dgst -sha1 -hmac north -binary | base64`
    const PASSWORD: &str = "wjwSXO2ch1B6VaLTLMy2Avn5O9o=";

    #[test]
    fn the_password_is_that_of_openssl() {
        let expected = format!("username: 1700003600:alice\npassword: {PASSWORD}");
        assert_eq!(
            print(&options("--secret north --user alice --ttl 1h"), now()),
            Ok(expected)
        );
    }

    #[test]
    fn json_says_the_same() {
        let text = print(&options("--secret north --user alice --json"), now()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = json!({"username": "1700003600:alice", "password": PASSWORD, "ttl": 3600});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_realm_adds_the_keys() {
        let text = print(
            &options("--secret north --user alice --realm example.org"),
            now(),
        )
        .unwrap();
        let md5 = long_term_md5("1700003600:alice", "example.org", PASSWORD);
        assert!(text.contains("\nrealm: example.org\n"), "{text}");
        assert!(
            text.contains(&format!("\nkey-md5: {}\n", hex(&md5))),
            "{text}"
        );
    }

    #[test]
    fn the_secret_may_come_from_a_file() {
        let file = std::env::temp_dir().join(format!("wharfd-secret-{}", std::process::id()));
        std::fs::write(&file, "north\nsecond line\n").unwrap();
        let line = format!("--secret-file {} --user alice", file.display());
        let text = print(&options(&line), now());
        std::fs::remove_file(&file).unwrap();
        assert!(text.unwrap().ends_with(PASSWORD));
        let missing = print(&options(&line), now()).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"), "{missing}");
    }
}
