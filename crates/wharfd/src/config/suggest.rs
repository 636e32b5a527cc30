//! Finds the key that was probably meant.

/// The known key nearest to `unknown`: one with few edits between them, or the same name in
/// another section.
pub(super) fn nearest<'a>(unknown: &str, known: &'a [String]) -> Option<&'a str> {
    let (section, name) = split(unknown);
    let allowed = (name.chars().count() / 3).max(2);
    let here = known.iter().filter(|key| split(key).0 == section);
    let spelling = here.map(|key| (distance(name, split(key).1), key)).min();
    if let Some((_, key)) = spelling.filter(|(edits, _)| *edits <= allowed) {
        return Some(key);
    }
    if let Some(key) = known.iter().find(|key| split(key).1 == name) {
        return Some(key);
    }
    let sections = known.iter().map(|key| split(key).0);
    let spelling = sections.map(|key| (distance(unknown, key), key)).min();
    spelling
        .filter(|(edits, _)| *edits <= allowed)
        .map(|(_, key)| key)
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// Insertions, deletions and replacements that turn `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        ["server.realm", "server.workers", "allocations.per-user"]
            .map(str::to_owned)
            .to_vec()
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn a_misspelt_key_finds_its_neighbour() {
        let known = known();
        assert_eq!(
            nearest("allocations.per_user", &known),
            Some("allocations.per-user")
        );
        assert_eq!(nearest("server.relm", &known), Some("server.realm"));
    }

    #[test]
    fn a_key_in_the_wrong_place_finds_its_section() {
        assert_eq!(nearest("realm", &known()), Some("server.realm"));
        assert_eq!(nearest("allocation", &known()), Some("allocations"));
    }

    #[test]
    fn nothing_near_is_not_a_suggestion() {
        assert_eq!(nearest("server.cli-password", &known()), None);
    }
}
