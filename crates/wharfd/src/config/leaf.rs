//! Typed checks of single values. Each returns what is allowed when the value is something else.

use super::section::kind;
use super::units;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;
use toml::Value;

pub(super) type Read<T> = Result<T, String>;

pub(super) fn boolean(value: &Value) -> Read<bool> {
    value
        .as_bool()
        .ok_or_else(|| format!("expected true or false, not {}", kind(value)))
}

pub(super) fn text(value: &Value) -> Read<&str> {
    value
        .as_str()
        .ok_or_else(|| format!("expected a string, not {}", kind(value)))
}

/// An integer in a range, of any type that the range fits.
pub(super) fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&Value) -> Read<T>
where
    T: Copy + TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    move |value| {
        let allowed = || {
            format!(
                "expected an integer from {} to {}",
                range.start(),
                range.end()
            )
        };
        let number = value
            .as_integer()
            .and_then(|number| T::try_from(number).ok());
        number
            .filter(|number| range.contains(number))
            .ok_or_else(allowed)
    }
}

/// A duration in a range, in seconds when it is a bare integer.
pub(super) fn duration(first: &str, last: &str) -> impl Fn(&Value) -> Read<Duration> {
    let bound = |text| units::duration(text).unwrap_or(Duration::MAX);
    let range = bound(first)..=bound(last);
    move |value| {
        let duration = match value {
            Value::String(text) => units::duration(text)?,
            Value::Integer(seconds) => u64::try_from(*seconds)
                .map(Duration::from_secs)
                .map_err(|_| "a duration is not negative".to_owned())?,
            other => {
                return Err(format!(
                    "expected a duration such as \"10m\", not {}",
                    kind(other)
                ));
            }
        };
        if range.contains(&duration) {
            return Ok(duration);
        }
        let (first, last) = (units::written(*range.start()), units::written(*range.end()));
        Err(format!("expected a duration from {first} to {last}"))
    }
}

/// A socket buffer's size, in bytes when it is a bare integer.
pub(super) fn buffer(value: &Value) -> Read<usize> {
    const RANGE: RangeInclusive<u64> = 4096..=1 << 30;
    let bytes = match value {
        Value::String(text) => units::size(text)?,
        Value::Integer(bytes) => u64::try_from(*bytes).unwrap_or(0),
        other => {
            return Err(format!(
                "expected a size such as \"4MiB\", not {}",
                kind(other)
            ));
        }
    };
    let fits = RANGE
        .contains(&bytes)
        .then_some(bytes)
        .and_then(|bytes| usize::try_from(bytes).ok());
    fits.ok_or_else(|| "expected a size from 4KiB to 1GiB".to_owned())
}

/// One of a few words.
pub(super) fn choice<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Value) -> Read<T> {
    move |value| {
        let found = value
            .as_str()
            .and_then(|text| words.iter().find(|(word, _)| *word == text));
        let allowed = || {
            words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect::<Vec<_>>()
        };
        found
            .map(|(_, chosen)| *chosen)
            .ok_or_else(|| format!("expected {}", allowed().join(" or ")))
    }
}

/// Anything with a textual form; `example` shows it.
pub(super) fn parsed<T: FromStr>(what: &str, example: &str) -> impl Fn(&Value) -> Read<T> {
    move |value| {
        let parsed = value.as_str().and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| format!("expected {what} such as \"{example}\""))
    }
}

pub(super) fn socket_address(value: &Value) -> Read<SocketAddr> {
    parsed(
        "an IP address with a port",
        "203.0.113.5:3478\" or \"[2001:db8::1]:3478",
    )(value)
}

pub(super) fn ip_address(value: &Value) -> Read<IpAddr> {
    parsed("an IP address", "203.0.113.5")(value)
}

/// A range of UDP ports, `"FIRST-LAST"`.
pub(super) fn ports(value: &Value) -> Read<RangeInclusive<u16>> {
    let written = value.as_str().and_then(|text| text.split_once('-'));
    let range = written.and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    let range = range.ok_or("expected a range of ports such as \"49152-65535\"")?;
    if range.is_empty() {
        return Err("the range is empty; write the lower port first".to_owned());
    }
    // RFC 8656 §7.2: ports 0 to 1023 are not to be used as relayed transport addresses.
    if *range.start() < 1024 {
        return Err("the range starts below 1024; relay ports are 1024 to 65535".to_owned());
    }
    Ok(range)
}

/// `N` bytes in base64.
pub(super) fn base64_bytes<const N: usize>(value: &Value) -> Read<[u8; N]> {
    let bytes = value
        .as_str()
        .and_then(|text| BASE64_STANDARD.decode(text).ok());
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("expected {N} bytes in base64 (`openssl rand -base64 {N}`)"))
}

/// `N` bytes in hexadecimal.
pub(super) fn hex_bytes<const N: usize>(value: &Value) -> Read<[u8; N]> {
    let wrong = || format!("expected {} hexadecimal digits", 2 * N);
    let text = value
        .as_str()
        .filter(|text| text.len() == 2 * N && text.is_ascii())
        .ok_or_else(wrong)?;
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = &text[2 * index..2 * index + 2];
        let digit = |at: usize| {
            char::from(digits.as_bytes()[at])
                .to_digit(16)
                .ok_or_else(wrong)
        };
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn integers_keep_to_their_range() {
        assert_eq!(integer(1..=32_u8)(&Value::Integer(32)), Ok(32));
        for wrong in [
            Value::Integer(0),
            Value::Integer(33),
            Value::Integer(-1),
            string("5"),
        ] {
            assert_eq!(
                integer(1..=32_u8)(&wrong),
                Err("expected an integer from 1 to 32".to_owned())
            );
        }
        assert!(integer(0..=u16::MAX)(&Value::Integer(65_536)).is_err());
    }

    #[test]
    fn durations_keep_to_their_range() {
        let read = duration("1s", "1h");
        assert_eq!(read(&Value::Integer(90)), Ok(Duration::from_secs(90)));
        assert_eq!(read(&string("1h")), Ok(Duration::from_hours(1)));
        assert_eq!(
            read(&string("0s")),
            Err("expected a duration from 1s to 1h".to_owned())
        );
        assert!(read(&string("61m")).is_err());
        assert!(read(&Value::Integer(-1)).is_err());
        assert!(read(&Value::Boolean(true)).is_err());
    }

    #[test]
    fn port_ranges_are_never_empty_or_privileged() {
        assert_eq!(ports(&string("49152-65535")), Ok(49_152..=65_535));
        assert_eq!(ports(&string("5000-5000")), Ok(5000..=5000));
        assert!(ports(&string("60000-50000")).unwrap_err().contains("empty"));
        assert!(
            ports(&string("80-5000"))
                .unwrap_err()
                .contains("below 1024")
        );
        for wrong in ["", "5000", "5000-", "-5000", "a-b", "5000-70000"] {
            assert!(ports(&string(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hexadecimal_is_exact() {
        assert_eq!(hex_bytes::<2>(&string("0aFf")), Ok([0x0a, 0xff]));
        for wrong in ["", "0a", "0aff00", "0agg", "+a+f", "éé"] {
            assert!(hex_bytes::<2>(&string(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn base64_is_exact() {
        assert_eq!(base64_bytes::<3>(&string("AQID")), Ok([1, 2, 3]));
        for wrong in ["", "AQI=", "AQIDBA==", "!!!!"] {
            assert!(base64_bytes::<3>(&string(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn buffers_read_as_sizes() {
        assert_eq!(buffer(&string("4MiB")), Ok(4 << 20));
        assert_eq!(buffer(&Value::Integer(8192)), Ok(8192));
        for wrong in [
            Value::Integer(0),
            Value::Integer(-1),
            string("2GiB"),
            Value::Boolean(true),
        ] {
            assert!(buffer(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_choice_names_its_words() {
        let read = choice(&[("copy", 1), ("clear", 2)]);
        assert_eq!(read(&string("clear")), Ok(2));
        assert_eq!(
            read(&string("set")),
            Err("expected \"copy\" or \"clear\"".to_owned())
        );
    }
}
