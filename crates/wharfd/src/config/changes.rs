//! What differs between two readings of the file, and which of it a running server can take.

use std::collections::BTreeSet;
use toml::{Table, Value};

/// Keys, and whole sections, that a reload applies; the others need a restart.
const LIVE: [&str; 6] = [
    "auth.users",
    "auth.secrets",
    "allocations.per-user",
    "allocations.total",
    "peers",
    "limits",
];

/// The keys that differ between two documents, as full paths, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Applied by a reload.
    pub live: Vec<String>,
    /// Applied by a restart only.
    pub restart: Vec<String>,
}

/// Compares two documents, section by section and key by key.
pub fn changes(before: &Table, after: &Table) -> Changes {
    let sections: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes = Changes::default();
    for section in sections {
        let (before, after) = (inner(before, section), inner(after, section));
        let keys = before.into_iter().chain(after).flat_map(Table::keys);
        for key in keys.collect::<BTreeSet<_>>() {
            if before.and_then(|table| table.get(key)) == after.and_then(|table| table.get(key)) {
                continue;
            }
            let path = format!("{section}.{key}");
            let live = LIVE.iter().any(|live| *live == path || live == section);
            if live {
                changes.live.push(path)
            } else {
                changes.restart.push(path)
            }
        }
    }
    changes
}

fn inner<'a>(table: &'a Table, section: &str) -> Option<&'a Table> {
    table.get(section).and_then(Value::as_table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn changes_are_sorted_by_what_they_need() {
        let before = table("[server]\nrealm='a'\n[auth]\nusers={a='1'}\n[peers]\nallow=[]");
        let after = table("[server]\nrealm='b'\n[auth]\nusers={a='2'}\n[limits]\nipv4-prefix=24");
        let expected = Changes {
            live: ["auth.users", "limits.ipv4-prefix", "peers.allow"]
                .map(str::to_owned)
                .to_vec(),
            restart: vec!["server.realm".to_owned()],
        };
        assert_eq!(changes(&before, &after), expected);
    }

    #[test]
    fn the_same_document_has_no_changes() {
        let document = table("[server]\nrealm='a'\n[auth]\nusers={a='1'}");
        assert_eq!(changes(&document, &document), Changes::default());
    }

    #[test]
    fn every_live_entry_names_a_key_or_section() {
        let keys = super::super::keys();
        for live in LIVE {
            assert!(
                keys.iter()
                    .any(|key| key == live || key.starts_with(&format!("{live}."))),
                "{live}"
            );
        }
    }
}
