//! Where a request goes next, by its Route and its target (RFC 3261 §16.4, §16.6).

use crate::{Scan, Uri, UriError, field, text};

/// The next hop of a request that this element forwards.
///
/// ```
/// use wharf_sip::route::{Onward, SentBy};
/// use wharf_sip::{Host, Limits, OwnedHost, Scan};
///
/// let message = b"BYE sip:bob@192.0.2.7 SIP/2.0\r\nRoute: <sip:abc@edge.example;lr>\r\n\r\n";
/// let scan = Scan::of(message, &Limits::default()).unwrap();
/// let edge = OwnedHost::new(Host::Name("edge.example")).unwrap();
/// let edge = SentBy::new(edge, None).unwrap();
/// let onward = Onward::of(message, &scan, |uri| edge.is_in(uri)).unwrap();
/// assert_eq!((onward.own, onward.token), (1, Some("abc")));
/// assert_eq!(onward.next.host, Host::Ip([192, 0, 2, 7].into()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onward<'a> {
    /// How many values to take off the top of Route: they name this element (§16.4). There are two
    /// where it has written two Record-Routes, one for each of its sides (RFC 5658).
    pub own: usize,
    /// The user part of the first of these that has one: a flow token, if it opens (RFC 5626 §5.3).
    /// The request goes over that flow then, and not to `next`.
    pub token: Option<&'a str>,
    /// Where the request goes: the first value of Route that is left, otherwise the target.
    pub next: Uri<'a>,
    /// Whether `next` is a Route that asks to be the target itself, as RFC 2543 did: its URI replaces
    /// the target, which becomes the last Route (§16.6, step 6).
    pub strict: bool,
}

/// Why a request goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OnwardError {
    /// It is a response: that follows its Via.
    #[error("a response follows its Via, not its Route")]
    Response,
    /// The target cannot be followed: 416 for another scheme, otherwise 400 (§8.2.2.1, §16.3).
    #[error("in the target: {0}")]
    Target(UriError),
    /// A Route cannot be followed: 400.
    #[error("in a Route: {0}")]
    Route(UriError),
}

/// The values on top of Route that name this element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnRoutes<'a> {
    /// How many there are; see [`Onward::own`].
    pub count: usize,
    /// The user part of the first of these that has one; see [`Onward::token`].
    pub token: Option<&'a str>,
    /// The first value below, where there is one.
    pub next: Option<Uri<'a>>,
}

impl<'a> OwnRoutes<'a> {
    /// Those of a request, for an element that has its next hop from elsewhere than the target: that may
    /// be a URI of any scheme then. `is_own` is that of [`Onward::of`]. Fails where a Route cannot be
    /// read.
    pub fn of(
        message: &'a [u8],
        scan: &Scan,
        is_own: impl Fn(&Uri<'a>) -> bool,
    ) -> Result<Self, UriError> {
        let (mut count, mut token) = (0, None);
        for value in routes(message, scan) {
            let uri = Uri::parse_name_addr(value)?;
            if !is_own(&uri) {
                return Ok(Self {
                    count,
                    token,
                    next: Some(uri),
                });
            }
            count += 1;
            token = token.or(uri.user.and_then(|user| str::from_utf8(user).ok()));
        }
        Ok(Self {
            count,
            token,
            next: None,
        })
    }
}

impl<'a> Onward<'a> {
    /// The next hop of a request. `is_own` says whether a URI names this element: what it has written
    /// into Record-Route or Path, or is configured with.
    pub fn of(
        message: &'a [u8],
        scan: &Scan,
        is_own: impl Fn(&Uri<'a>) -> bool,
    ) -> Result<Self, OnwardError> {
        let target = scan.target(message).ok_or(OnwardError::Response)?;
        let own = OwnRoutes::of(message, scan, is_own).map_err(OnwardError::Route)?;
        let next = own.next.map_or_else(|| Uri::parse(target), Ok);
        Ok(Self {
            own: own.count,
            token: own.token,
            next: next.map_err(OnwardError::Target)?,
            strict: own.next.is_some_and(|next| !next.is_loose_route()),
        })
    }
}

/// The values of Route, from the top.
fn routes<'a>(message: &'a [u8], scan: &Scan) -> impl Iterator<Item = &'a [u8]> {
    let first = scan.route.map(|route| route.line.range().start);
    let fields = first
        .into_iter()
        .flat_map(|first| field::lines(message, first));
    let routes = fields
        .map(|(_, field)| field)
        .filter(|field| field.is("Route", None));
    let values = routes.flat_map(|field| {
        let mut rest = Some(field.value);
        std::iter::from_fn(move || {
            let value = rest?;
            let end = text::find_outside(value, b',', true);
            rest = end.map(|end| &value[end + 1..]);
            Some(text::trim(&value[..end.unwrap_or(value.len())]))
        })
    });
    values.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
