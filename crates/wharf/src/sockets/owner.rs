//! Users and groups by name or number.

use super::BindError;

/// Of `unix.owner`.
pub(super) fn user(value: &str) -> Result<u32, BindError> {
    find("unix.owner", value, "/etc/passwd")
}

/// Of `unix.group`.
pub(super) fn group(value: &str) -> Result<u32, BindError> {
    find("unix.group", value, "/etc/group")
}

fn find(key: &'static str, value: &str, file: &'static str) -> Result<u32, BindError> {
    // The highest number means "leave it as it is" to chown(2).
    let number = value.parse().ok().filter(|&number| number != u32::MAX);
    number
        .or_else(|| look_up(&std::fs::read_to_string(file).ok()?, value))
        .ok_or_else(|| BindError::UnknownName {
            key,
            value: value.to_owned(),
            file,
        })
}

/// The number in the third field of the line that begins with `name`, as passwd(5) and group(5) both
/// have it.
fn look_up(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_whole_first_field() {
        let file = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/:\nwww-data:x:35:36::/:\nbad:x\n";
        assert_eq!(look_up(file, "www"), Some(33));
        assert_eq!(look_up(file, "www-data"), Some(35));
        assert_eq!(look_up(file, "ww"), None);
        assert_eq!(look_up(file, "bad"), None);
    }

    #[test]
    fn numbers_need_no_entry_and_unknown_names_are_errors() {
        assert_eq!(user("4242").unwrap(), 4242);
        assert_eq!(user("root").unwrap(), 0);
        assert_eq!(group("root").unwrap(), 0);
        for wrong in ["4294967295", "nobody-of-that-name", ""] {
            let error = group(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("unix.group = {wrong:?}")),
                "{error}"
            );
        }
    }
}
