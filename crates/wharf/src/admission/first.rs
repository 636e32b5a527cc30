//! The stage that looks at the first bytes, where several protocols share a port.

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use wharf_policy::first_bytes::{self, Guess, Protocol, Protocols, of_stream};

use super::Refused;
use super::proxied::lost;
use crate::config::{DemuxOptions, Silent};
use crate::connection::Connection;
use crate::layer::Layer;
use crate::reason::Refusal;

/// Waits until it is known which of `wanted` the peer speaks; `None`: another protocol. What was read
/// is put back. It is counted.
///
/// # Errors
/// The peer is gone, or has said nothing for too long where it had to.
pub(super) async fn look(
    layer: &mut Layer,
    wanted: Protocols,
    options: &DemuxOptions,
    connection: &Connection,
) -> Result<Option<Protocol>, Refused> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut first = [0; first_bytes::LONGEST];
    let mut length = 0;
    let reading = async {
        loop {
            match of_stream(&first[..length], wanted) {
                Guess::Is(protocol) => return Ok(Some(protocol)),
                Guess::Other => return Ok(None),
                Guess::Undecided => {}
            }
            match layer.read(&mut first[length..]).await {
                Ok(0) if length == 0 => return Err(super::handshake::gone(connection)),
                // Whatever it is, it is all of it.
                Ok(0) => return Ok(None),
                Ok(more) => length += more,
                Err(error) => return Err(lost(&error)),
            }
        }
    };
    let protocol = match (timeout(options.deadline, reading).await, options.silent) {
        (Ok(known), _) => known?,
        (Err(_), Silent::Default) => None,
        (Err(_), Silent::Refuse) => {
            return Err(Refused {
                reason: Refusal::HandshakeTimeout,
                detail: "first-bytes",
            });
        }
    };
    layer.unread(Bytes::copy_from_slice(&first[..length]));
    connection.shared().owner.counters.spoken(protocol);
    Ok(protocol)
}
