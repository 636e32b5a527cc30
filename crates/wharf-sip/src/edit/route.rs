//! Changes to the way of a request.

use super::{Edit, EditError, one_line};
use crate::scan::StartLine;
use crate::{field, text};

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

    /// Takes so many Routes off the top, wherever their lines end: those that name this element, two where
    /// it has written one for each of its sides (RFC 3261 §16.4, RFC 5658 §6). Fails where there are
    /// fewer.
    pub fn pop_routes(&mut self, count: usize) -> Result<&mut Self, EditError> {
        let mut left = count;
        let first = self.scan.route.map(|route| route.line.range().start);
        let lines = first
            .into_iter()
            .flat_map(|first| field::lines(self.message, first));
        for (line, _) in lines.filter(|(_, field)| field.is("Route", None)) {
            if left == 0 {
                break;
            }
            let bytes = &self.message[line.clone()];
            let Some((_, value)) = field::split(bytes) else {
                break;
            };
            let (first, mut rest) = (lws(&bytes[value..]), &bytes[value..]);
            while left > 0 && !rest.is_empty() {
                let comma = text::find_outside(rest, b',', true).unwrap_or(rest.len());
                left -= usize::from(!text::trim(&rest[..comma]).is_empty());
                rest = rest.get(comma + 1..).unwrap_or_default();
            }
            if text::trim(rest).is_empty() {
                self.splice(line, &[]);
            } else {
                let next = line.end - rest.len() + lws(rest);
                self.splice(line.start + value + first..next, &[]);
            }
        }
        (left == 0).then_some(self).ok_or(EditError::NoRoute)
    }

    /// Puts a Record-Route on top: `<sip:token@edge.example.com;lr>` (RFC 3261 §16.6 step 4).
    pub fn push_record_route(&mut self, value: &str) -> Result<&mut Self, EditError> {
        self.push_field("Record-Route", value)
    }
}

/// How much white space it begins with.
fn lws(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| text::is_lws(byte)).count()
}
