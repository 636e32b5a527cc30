//! Where a listener listens, as text.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address to listen on.
///
/// | text | meaning |
/// |---|---|
/// | `[::]:7000`, `127.0.0.1:0` | IP address and port (0: any free one) |
/// | `/run/app.sock`, `./app.sock` | a Unix socket file |
/// | `@name` | a Unix socket in the abstract name space |
/// | `systemd:name` | sockets passed by the service manager under this name |
/// | `fd:3` | a listening socket that was inherited |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A Unix socket file.
    Path(PathBuf),
    /// An abstract Unix socket name, without the `@`.
    Abstract(String),
    /// Sockets that the service manager passed under this name (`FileDescriptorName=`).
    Systemd(String),
    /// A listening socket by the number of its inherited descriptor.
    Descriptor(i32),
}

/// A text that is no [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an IP address with a port (\"[::]:7000\"), a path with a slash (\"/run/app.sock\"), \"@name\", \"systemd:name\" or \"fd:3\", not {0:?}"
)]
pub struct InvalidAddress(String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let name = |name: &str| match name {
            "" => Err(invalid()),
            _ if name.contains('\0') => Err(invalid()),
            _ => Ok(name.to_owned()),
        };
        if let Some(rest) = text.strip_prefix('@') {
            return name(rest).map(Self::Abstract);
        }
        if let Some(rest) = text.strip_prefix("systemd:") {
            return name(rest).map(Self::Systemd);
        }
        if let Some(rest) = text.strip_prefix("fd:") {
            return match rest.parse() {
                Ok(fd) if fd >= 0 => Ok(Self::Descriptor(fd)),
                _ => Err(invalid()),
            };
        }
        if text.contains('/') && !text.contains('\0') {
            return Ok(Self::Path(text.into()));
        }
        Err(invalid())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
            Self::Descriptor(fd) => write!(f, "fd:{fd}"),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": "address", "type": "string", "examples": ["[::]:7000", "/run/app.sock", "@name", "systemd:name", "fd:3"] })
    }
}
