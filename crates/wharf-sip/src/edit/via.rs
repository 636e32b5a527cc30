//! Changes to the Vias.

use std::net::SocketAddr;
use std::ops::Range;

use super::{Edit, EditError, one_line};
use crate::route::SentBy;
use crate::text;
use crate::transport::Transport;
use crate::via::{Via, ViaError};

impl<'a> Edit<'a> {
    /// Notes in the top Via of a request where it came from (RFC 3261 §18.2.1, RFC 3581 §4):
    ///
    /// - `received` when sent-by is a name or another address, or when `rport` is there;
    /// - a value for `rport` when it is there.
    ///
    /// A value that the sender wrote itself is replaced: responses would follow it elsewhere. An
    /// address of IPv4 in one of IPv6 is written as IPv4. Fails for a response: only requests are
    /// marked.
    pub fn stamp_via(&mut self, source: SocketAddr) -> Result<&mut Self, EditError> {
        self.require_request()?;
        let (value, via) = self.top_via()?;
        let (ip, port) = (source.ip().to_canonical(), source.port().to_string());
        let parameters = value.end - via.parameters.as_bytes().len();
        let same = via.host.ip().is_some_and(|host| host.to_canonical() == ip);
        let (mut wanted, mut there) = (!same, false);
        for (at, parameter) in via.parameters.located() {
            let at = parameters + at.start..parameters + at.end;
            if parameter.name.eq_ignore_ascii_case(b"rport") {
                wanted = true;
                self.splice(at, &[parameter.name, b"=", port.as_bytes()]);
            } else if parameter.name.eq_ignore_ascii_case(b"received") {
                there = true;
                self.splice(at, &[parameter.name, b"=", ip.to_string().as_bytes()]);
            }
        }
        if wanted && !there {
            // RFC 3261 §25.1 `via-received`: without brackets.
            self.splice(
                value.end..value.end,
                &[b";received=", ip.to_string().as_bytes()],
            );
        }
        Ok(self)
    }

    /// Names another transport in the top Via, as when a request moves from UDP to TCP or back
    /// (RFC 3261 §18.1.1).
    pub fn set_via_transport(&mut self, transport: Transport) -> Result<&mut Self, EditError> {
        let at = self.via_transport()?;
        self.splice(at, &[transport.name().as_bytes()]);
        Ok(self)
    }

    /// Names another place for responses in the top Via: the sent-by that is to be there when the request
    /// goes over another transport (RFC 3261 §18.1.1).
    pub fn set_via_sent_by(&mut self, sent_by: &SentBy) -> Result<&mut Self, EditError> {
        let (value, via) = self.top_via()?;
        let front = self.via_transport()?.end;
        let end = value.end - via.parameters.as_bytes().len();
        let bytes = &self.message[front..end];
        let spaces = |byte: &&u8| text::is_lws(**byte);
        let start = front + bytes.iter().take_while(spaces).count();
        let end = end - bytes.iter().rev().take_while(spaces).count();
        self.splice(start..end, &[sent_by.to_string().as_bytes()]);
        Ok(self)
    }

    /// Where the top Via names its transport.
    fn via_transport(&self) -> Result<Range<usize>, EditError> {
        let (value, via) = self.top_via()?;
        let bytes = &self.message[value.clone()];
        let slash = memchr::memchr_iter(b'/', bytes)
            .nth(1)
            .ok_or(ViaError::Protocol)?;
        let space = bytes[slash + 1..]
            .iter()
            .take_while(|&&byte| text::is_lws(byte))
            .count();
        let name = value.start + slash + 1 + space;
        Ok(name..name + via.transport_name.len())
    }

    /// Adds parameters to the top Via: `alias`, or `maddr=239.255.255.1;ttl=1` (RFC 3261 §18.1.1,
    /// RFC 5923 §8), without a semicolon in front.
    pub fn add_via_parameters(&mut self, parameters: &str) -> Result<&mut Self, EditError> {
        let (value, _) = self.top_via()?;
        self.splice(value.end..value.end, &[b";", one_line(parameters)?]);
        Ok(self)
    }

    /// Puts a Via on top (RFC 3261 §16.6 step 8).
    pub fn push_via(&mut self, value: &str) -> Result<&mut Self, EditError> {
        self.push_field("Via", value)
    }

    /// Takes the top Via away, as of a response on its way back (RFC 3261 §16.7 step 3).
    pub fn pop_via(&mut self) -> Result<&mut Self, EditError> {
        self.pop(self.scan.via.ok_or(EditError::NoVia)?);
        Ok(self)
    }

    /// Where the top Via stands, and what it says.
    fn top_via(&self) -> Result<(Range<usize>, Via<'a>), EditError> {
        let top = self.scan.via.ok_or(EditError::NoVia)?.top;
        Ok((top.range(), Via::parse(top.of(self.message))?))
    }
}
