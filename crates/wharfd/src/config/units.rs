//! Durations (`"1h30m"`) and sizes (`"4MiB"`) as text.

use std::time::Duration;

/// Reads a duration: numbers with a unit `s`, `m`, `h` or `d`, largest first (`"1h30m"`).
///
/// # Errors
/// Says what a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as \"90s\", \"10m\", \"1h30m\" or \"2d\"".to_owned();
    let mut rest = text;
    let mut seconds: u64 = 0;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return Err(wrong()),
        };
        if unit >= last {
            return Err(wrong());
        }
        last = unit;
        let part = number.checked_mul(unit).ok_or_else(wrong)?;
        seconds = seconds.checked_add(part).ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    if last == u64::MAX {
        Err(wrong())
    } else {
        Ok(Duration::from_secs(seconds))
    }
}

/// Reads a number of bytes: `"65536"`, `"64KiB"`, `"4MiB"`, `"1GiB"`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as \"64KiB\" or \"4MiB\"".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let shift = match &text[digits..] {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A duration as one would write it in the file.
pub(super) fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read() {
        for (text, seconds) in [
            ("90s", 90),
            ("10m", 600),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let huge = "99999999999999999999s";
        for text in [
            "",
            "10",
            "m",
            "10x",
            "1m1h",
            "1m1m",
            "-1s",
            "1.5h",
            "10 m",
            "1é",
            huge,
            "999999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_read() {
        for (text, bytes) in [
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("4MiB", 4 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "4MB", "4 MiB", "-1", "99999999999GiB", "1é"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn written_durations_read_back() {
        for seconds in [0, 1, 59, 60, 90, 3600, 5400, 86_400] {
            let given = Duration::from_secs(seconds);
            assert_eq!(duration(&written(given)), Ok(given));
        }
    }
}
