//! What differs between the running configuration and the file, and which of it a running server can
//! take.

use std::collections::BTreeSet;
use toml::{Table, Value};

/// Keys, and whole sections, that a reload applies; the others need a restart.
const LIVE: [&str; 16] = [
    "listen.tcp",
    "listen.tls",
    "stream",
    "tls",
    "sip.stream",
    "sip.websocket",
    "sip.datagrams",
    "auth.users",
    "auth.secrets",
    "allocations.per-user",
    "allocations.total",
    "peers",
    "limits.unauthenticated-per-second",
    "limits.unauthenticated-burst",
    "limits.ipv4-prefix",
    "limits.ipv6-prefix",
];

/// What a reload of a file would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The running document with every live key as the file has it.
    pub merged: Table,
    /// Keys that a reload applies, sorted.
    pub live: Vec<String>,
    /// Keys that wait for a restart, sorted.
    pub restart: Vec<String>,
}

/// Compares the running document with the file's, section by section and key by key.
pub fn changes(running: &Table, file: &Table) -> Changes {
    let sections: BTreeSet<&String> = running.keys().chain(file.keys()).collect();
    let mut changes = Changes {
        merged: running.clone(),
        ..Changes::default()
    };
    for section in sections {
        let (before, after) = (inner(running, section), inner(file, section));
        // An edge that does not run has nothing that could take its keys.
        let begins = section == "sip" && before.is_none_or(Table::is_empty);
        let keys = before.into_iter().chain(after).flat_map(Table::keys);
        for key in keys.collect::<BTreeSet<_>>() {
            let value = after.and_then(|table| table.get(key));
            if before.and_then(|table| table.get(key)) == value {
                continue;
            }
            let path = format!("{section}.{key}");
            if !begins && LIVE.iter().any(|live| *live == path || live == section) {
                set(&mut changes.merged, section, key, value);
                changes.live.push(path);
            } else {
                changes.restart.push(path);
            }
        }
    }
    changes
}

fn inner<'a>(table: &'a Table, section: &str) -> Option<&'a Table> {
    table.get(section).and_then(Value::as_table)
}

fn set(table: &mut Table, section: &str, key: &str, value: Option<&Value>) {
    let section = table.entry(section).or_insert_with(|| Table::new().into());
    let Value::Table(section) = section else {
        return;
    };
    match value {
        Some(value) => section.insert(key.to_owned(), value.clone()),
        None => section.remove(key),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn changes_are_sorted_by_what_they_need() {
        let running = table("[server]\nrealm='a'\n[auth]\nusers={a='1'}\n[peers]\nallow=[]");
        let file = table("[server]\nrealm='b'\n[auth]\nusers={a='2'}\n[limits]\nipv4-prefix=24");
        let expected = Changes {
            merged: table(
                "[server]\nrealm='a'\n[auth]\nusers={a='2'}\n[peers]\n[limits]\nipv4-prefix=24",
            ),
            live: ["auth.users", "limits.ipv4-prefix", "peers.allow"]
                .map(str::to_owned)
                .to_vec(),
            restart: vec!["server.realm".to_owned()],
        };
        assert_eq!(changes(&running, &file), expected);
    }

    #[test]
    fn sip_begins_with_a_restart() {
        let file = table("[sip]\nudp=['127.0.0.1:5060']\nstream={}");
        let keys = |changes: Changes| (changes.live, changes.restart);
        let both = vec!["sip.stream".to_owned(), "sip.udp".to_owned()];
        assert_eq!(keys(changes(&table(""), &file)), (vec![], both));
        let before = table("[sip]\nudp=['127.0.0.1:5060']");
        let live = vec!["sip.stream".to_owned()];
        assert_eq!(keys(changes(&before, &file)), (live, vec![]));
    }

    #[test]
    fn the_same_document_has_no_changes() {
        let document = table("[server]\nrealm='a'\n[auth]\nusers={a='1'}");
        let expected = Changes {
            merged: document.clone(),
            ..Changes::default()
        };
        assert_eq!(changes(&document, &document), expected);
    }

    #[test]
    fn the_handbook_marks_what_is_live() {
        let text = include_str!("../../../../docs/configuration.md");
        for line in text.lines().filter_map(|line| line.strip_prefix("| `")) {
            let (key, rest) = line.split_once('`').unwrap();
            let section = key.split_once('.').unwrap().0;
            let live = LIVE.contains(&key) || LIVE.contains(&section);
            assert_eq!(rest.contains("**live**"), live, "{key}");
        }
    }
}
