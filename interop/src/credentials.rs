//! Time-limited credentials, made without the daemon so that they check it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The password of `username`, which is `<expiry in Unix seconds>:<name>`:
/// base64(HMAC-SHA1(`secret`, `username`)) (draft-uberti-behave-turn-rest, section 2.2).
#[must_use]
pub fn rest_password(secret: &str, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any length");
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second test case of RFC 2202, section 3.
    #[test]
    fn is_hmac_sha1_in_base64() {
        let password = rest_password("Jefe", "what do ya want for nothing?");
        assert_eq!(password, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
    }
}
