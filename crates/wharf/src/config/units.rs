//! Durations (`"250ms"`, `"1h30m"`), sizes (`"4MiB"`) and file modes (`"0660"`) as text.

mod schema;

use std::fmt;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

pub(crate) use schema::{DurationText, ModeText, OffDurationText, OffSizeText, SizeText};

/// The units of a duration, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a duration: numbers with a unit `d`, `h`, `m`, `s` or `ms`, largest first (`"1h30m"`).
///
/// # Errors
/// Says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as \"250ms\", \"90s\", \"1h30m\" or \"2d\"".to_owned();
    let mut rest = text;
    let mut milliseconds: u64 = 0;
    let mut units = UNITS.iter();
    if text.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (_, size) = units
            .find(|(name, _)| *name == &rest[..end])
            .ok_or_else(wrong)?;
        milliseconds = number
            .checked_mul(*size)
            .and_then(|part| milliseconds.checked_add(part))
            .ok_or_else(wrong)?;
        rest = &rest[end..];
    }
    Ok(Duration::from_millis(milliseconds))
}

/// A duration as one would write it.
pub fn format_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (name, size) = UNITS
        .iter()
        .find(|(_, size)| milliseconds != 0 && milliseconds.is_multiple_of(*size))
        .unwrap_or(&("s", 1));
    format!("{}{name}", milliseconds / size)
}

/// Reads a number of bytes: `"65536"`, `"64KiB"`, `"4MiB"`, `"1GiB"`.
///
/// # Errors
/// Says what a size looks like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as \"512\", \"64KiB\" or \"4MiB\"".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let shift = match &text[digits..] {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A size as one would write it.
pub fn format_size(bytes: u64) -> String {
    [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .iter()
        .find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift))
        .map_or_else(
            || bytes.to_string(),
            |(name, shift)| format!("{}{name}", bytes >> shift),
        )
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("expected permissions in octal such as \"0660\"".to_owned()),
    }
}

/// Deserializes text by `parse`, and a bare number by `number`.
struct Text<T> {
    parse: fn(&str) -> Result<T, String>,
    number: fn(u64) -> Result<T, String>,
    expected: &'static str,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        (self.number)(number).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let number = u64::try_from(number).map_err(|_| E::custom("must not be negative"))?;
        self.visit_u64(number)
    }
}

const NO_UNIT: &str = "a duration needs a unit, as in \"90s\" or \"250ms\"";

/// `#[serde(with)]` for a [`Duration`].
pub(crate) mod duration {
    use super::{
        Deserializer, Duration, NO_UNIT, Serializer, Text, format_duration, parse_duration,
    };

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format_duration(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_any(Text {
            parse: parse_duration,
            number: |_| Err(NO_UNIT.to_owned()),
            expected: "a duration such as \"90s\"",
        })
    }
}

/// `#[serde(with)]` for a duration or `"off"`.
pub(crate) mod off_duration {
    use super::{
        Deserializer, Duration, NO_UNIT, Serializer, Text, format_duration, parse_duration,
    };

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.map_or_else(|| "off".to_owned(), format_duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        from.deserialize_any(Text {
            parse: |text| match text {
                "off" => Ok(None),
                _ => parse_duration(text)
                    .map(Some)
                    .map_err(|wrong| wrong + ", or \"off\""),
            },
            number: |_| Err(NO_UNIT.to_owned()),
            expected: "a duration such as \"90s\", or \"off\"",
        })
    }
}

/// `#[serde(with)]` for a size.
pub(crate) mod size {
    use super::{Deserializer, Serializer, Text, format_size, parse_size};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature is serde's"
    )]
    pub(crate) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format_size(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        from.deserialize_any(Text {
            parse: parse_size,
            number: Ok,
            expected: "a size such as \"64KiB\"",
        })
    }
}

/// `#[serde(with)]` for a size or `"off"`.
pub(crate) mod off_size {
    use super::{Deserializer, Serializer, Text, format_size, parse_size};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.map_or_else(|| "off".to_owned(), format_size))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        from.deserialize_any(Text {
            parse: |text| match text {
                "off" => Ok(None),
                _ => parse_size(text)
                    .map(Some)
                    .map_err(|wrong| wrong + ", or \"off\""),
            },
            number: |bytes| Ok(Some(bytes)),
            expected: "a size such as \"64KiB\", or \"off\"",
        })
    }
}

/// `#[serde(with)]` for file permissions in octal.
pub(crate) mod mode {
    use super::{Deserialize, Deserializer, Serializer, parse_mode};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature is serde's"
    )]
    pub(crate) fn serialize<S: Serializer>(value: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{value:04o}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        parse_mode(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
