//! Finds the word that was probably meant.

/// The longest word that is compared, in characters: what is longer is no misspelt key.
const LONGEST: usize = 64;

/// The word of `known` with the fewest edits between it and `unknown`, if there are few.
pub(super) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = unknown.chars().count();
    if length > LONGEST {
        return None;
    }
    let allowed = (length / 3).max(2);
    known
        .map(|word| (distance(unknown, word), word))
        .min()
        .filter(|(edits, _)| *edits <= allowed)
        .map(|(_, word)| word)
}

/// Insertions, deletions and replacements that turn `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn a_near_word_is_found_and_a_far_one_is_not() {
        let known = ["max-connections", "per-prefix"];
        assert_eq!(nearest("max_conections", known.into_iter()), Some(known[0]));
        assert_eq!(nearest("prefix-per", known.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(65), known.into_iter()), None);
    }
}
