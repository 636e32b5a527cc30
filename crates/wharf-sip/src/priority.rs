//! Which messages go first when not all can go at once.

use crate::Scan;

/// How urgent something is that waits to be sent or handed on. The most urgent is the least, so that
/// sorting puts it in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The end of a transport, and its errors: nothing after them makes sense.
    Critical,
    /// What ends a transaction or a call, and so frees what it holds: responses, ACK, CANCEL, BYE.
    High,
    /// Every other request.
    Normal,
    /// What nobody waits for: statistics, and keep-alives where much else waits.
    Low,
}

impl Priority {
    /// That of a message.
    ///
    /// ```
    /// use wharf_sip::{Limits, Priority, Scan};
    ///
    /// let message = b"BYE sip:a@example.com SIP/2.0\r\nTo: <sip:x>\r\n\r\n";
    /// let scan = Scan::of(message, &Limits::default()).unwrap();
    /// assert_eq!(Priority::of(message, &scan), Priority::High);
    /// assert!(Priority::High < Priority::Normal);
    /// ```
    pub fn of(message: &[u8], scan: &Scan) -> Self {
        match scan.method(message) {
            None | Some(b"ACK" | b"CANCEL" | b"BYE") => Self::High,
            Some(_) => Self::Normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn what_ends_something_goes_first() {
        let cases = [
            ("SIP/2.0 200 OK", Priority::High),
            ("SIP/2.0 100 Trying", Priority::High),
            ("ACK sip:a SIP/2.0", Priority::High),
            ("CANCEL sip:a SIP/2.0", Priority::High),
            ("BYE sip:a SIP/2.0", Priority::High),
            ("INVITE sip:a SIP/2.0", Priority::Normal),
            ("OPTIONS sip:a SIP/2.0", Priority::Normal),
            // Case matters in a method (RFC 3261 §7.1).
            ("bye sip:a SIP/2.0", Priority::Normal),
        ];
        for (line, expected) in cases {
            let message = format!("{line}\r\nTo: <sip:x>\r\n\r\n");
            let scan = Scan::of(message.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(Priority::of(message.as_bytes(), &scan), expected, "{line}");
        }
    }
}
