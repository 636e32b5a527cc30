//! One value of a Via header field (RFC 3261 §20.42).

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use thiserror::Error;

use crate::host::{Host, HostError};
use crate::parameters::Parameters;
use crate::text;
use crate::transport::Transport;

/// One Via value, read where it stands, folded or not.
///
/// ```
/// use wharf_sip::{Host, Rport, Transport, Via};
///
/// let via = Via::parse(b"SIP/2.0/UDP host.invalid:5080;branch=z9hG4bK1;rport")?;
/// assert_eq!(via.transport(), Some(Transport::Udp));
/// assert_eq!((via.host, via.port), (Host::Name("host.invalid"), Some(5080)));
/// assert_eq!(via.branch(), Some(&b"z9hG4bK1"[..]));
/// assert_eq!(via.rport(), Some(Rport::Asked));
/// # Ok::<(), wharf_sip::ViaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The name of the protocol: `SIP`, in any case.
    pub protocol: &'a [u8],
    /// The version of the protocol: `2.0`.
    pub version: &'a [u8],
    /// The transport, as it is written: a peer may name one that [`Transport`] does not know.
    pub transport_name: &'a [u8],
    /// The host of sent-by.
    pub host: Host<'a>,
    /// The port of sent-by, when one is written.
    pub port: Option<u16>,
    /// The parameters.
    pub parameters: Parameters<'a>,
}

/// The parameter `rport` (RFC 3581).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rport {
    /// There without a value, or with one that is no port: the sender asks for it (§3).
    Asked,
    /// The port that a server saw (§4).
    Port(u16),
}

/// Why some bytes are no Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ViaError {
    /// It does not begin with `token / token / token`.
    #[error("the Via does not begin with a protocol, a version and a transport")]
    Protocol,
    /// Nothing separates the transport from sent-by.
    #[error("the Via has no sent-by")]
    NoSentBy,
    /// A quotation mark is opened and not closed: no parameter could stand behind it.
    #[error("the Via has a quotation mark too few")]
    Quote,
    /// sent-by is no `host [":" port]`.
    #[error("in the sent-by of the Via: {0}")]
    SentBy(#[from] HostError),
}

impl<'a> Via<'a> {
    /// Reads one value, without the comma behind it. White space may stand around it and around
    /// each of its separators (RFC 4475 §3.1.1.1). Parameters are read when they are asked for.
    pub fn parse(value: &'a [u8]) -> Result<Self, ViaError> {
        let value = text::trim(value);
        if memchr::memchr(b'"', value).is_some() && !text::is_balanced(value) {
            return Err(ViaError::Quote);
        }
        let semicolon = text::find_outside(value, b';', false).unwrap_or(value.len());
        let (front, parameters) = value.split_at(semicolon);
        let mut parts = front.splitn(3, |&byte| byte == b'/').map(text::trim);
        let mut part = || parts.next().ok_or(ViaError::Protocol);
        let (protocol, version, rest) = (part()?, part()?, part()?);
        let end = rest
            .iter()
            .position(|&byte| text::is_lws(byte))
            .ok_or(ViaError::NoSentBy)?;
        let (transport_name, sent_by) = rest.split_at(end);
        if [protocol, version, transport_name]
            .into_iter()
            .any(|part| !text::is_a_token(part))
        {
            return Err(ViaError::Protocol);
        }
        let (host, port) = Host::parse_with_port(sent_by)?;
        let parameters = Parameters::new(parameters);
        Ok(Self {
            protocol,
            version,
            transport_name,
            host,
            port,
            parameters,
        })
    }

    /// The transport, when this crate knows it.
    pub fn transport(&self) -> Option<Transport> {
        Transport::parse(self.transport_name)
    }

    /// The port of sent-by, or the default of its transport; 5060 for an unknown one
    /// (RFC 3261 §18.1.1, §18.2.2).
    pub fn port_or_default(&self) -> u16 {
        let default = self.transport().map_or(5060, Transport::default_port);
        self.port.unwrap_or(default)
    }

    /// The branch. It may be the magic cookie alone (RFC 4475 §3.2.1), and it may lack the cookie
    /// (RFC 3261 §17.2.3): no key is to be made of it alone.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.parameters.value("branch")
    }

    /// The address that a server saw, in brackets or not (RFC 3261 §18.2.1, RFC 5118 §4.5);
    /// `None` also when it is no address.
    pub fn received(&self) -> Option<IpAddr> {
        Host::parse_address(self.parameters.value("received")?)
    }

    /// The parameter `rport` (RFC 3581).
    pub fn rport(&self) -> Option<Rport> {
        let value = self.parameters.get("rport")?.value;
        let port = value
            .and_then(text::number)
            .and_then(|port| u16::try_from(port).ok());
        Some(
            port.filter(|&port| port > 0)
                .map_or(Rport::Asked, Rport::Port),
        )
    }

    /// The parameter `maddr`: where a response goes first (RFC 3261 §18.2.2); `None` also when it
    /// is no host.
    pub fn maddr(&self) -> Option<Host<'a>> {
        Host::parse(self.parameters.value("maddr")?).ok()
    }

    /// The parameter `ttl`, for a multicast `maddr`; `None` also when it is not a number from 0 to
    /// 255.
    pub fn ttl(&self) -> Option<u8> {
        text::number(self.parameters.value("ttl")?)?.try_into().ok()
    }

    /// Whether the sender offers its connection for requests to it (RFC 5923 §8).
    pub fn has_alias(&self) -> bool {
        self.parameters.get("alias").is_some()
    }

    /// The parameter `keep`: the sender wants keep-alives, or a server agreed to them every so
    /// many seconds, 0 for an interval of its own choice (RFC 6223 §4.2, §8).
    pub fn keep(&self) -> Option<Keep> {
        let value = self.parameters.get("keep")?.value;
        let seconds = value
            .and_then(text::number)
            .and_then(|seconds| seconds.try_into().ok());
        Some(seconds.map_or(Keep::Asked, Keep::Seconds))
    }
}

/// The parameter `keep` (RFC 6223).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// There without a value, or with one that is no number: the sender is willing to send
    /// keep-alives.
    Asked,
    /// The interval in seconds that the server recommends; 0 for none.
    Seconds(u32),
}
