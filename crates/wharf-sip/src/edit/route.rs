//! Changes to the way of a request.

use super::{Edit, EditError, one_line};
use crate::scan::StartLine;
use crate::text;

impl Edit<'_> {
    /// Puts another target into the request line (RFC 3261 §16.6 step 2).
    pub fn set_target(&mut self, uri: &str) -> Result<&mut Self, EditError> {
        let StartLine::Request { target, .. } = self.scan.start else {
            return Err(EditError::NotARequest);
        };
        self.splice(target.range(), &[one_line(uri)?]);
        Ok(self)
    }

    /// Takes one hop from Max-Forwards, or gives 70 to a request without one (RFC 3261 §16.6
    /// step 3). Fails when there is none to take.
    pub fn decrement_max_forwards(&mut self) -> Result<&mut Self, EditError> {
        let Some(span) = self.scan.max_forwards else {
            return self.push_field("Max-Forwards", "70");
        };
        let hops = text::number(span.of(self.message)).and_then(|hops| u8::try_from(hops).ok());
        let left = hops.ok_or(EditError::MaxForwards)?.checked_sub(1);
        let left = left.ok_or(EditError::NoHopLeft)?.to_string();
        self.splice(span.range(), &[left.as_bytes()]);
        Ok(self)
    }

    /// Puts a Route on top: `<sip:next.example.com;lr>`.
    pub fn push_route(&mut self, value: &str) -> Result<&mut Self, EditError> {
        self.push_field("Route", value)
    }

    /// Takes the top Route away, as when it names this element (RFC 3261 §16.4).
    pub fn pop_route(&mut self) -> Result<&mut Self, EditError> {
        self.pop(self.scan.route.ok_or(EditError::NoRoute)?);
        Ok(self)
    }

    /// Puts a Record-Route on top: `<sip:token@edge.example.com;lr>` (RFC 3261 §16.6 step 4).
    pub fn push_record_route(&mut self, value: &str) -> Result<&mut Self, EditError> {
        self.push_field("Record-Route", value)
    }
}
