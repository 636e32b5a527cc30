//! Saying no before there are keys.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Why a client is refused after its ClientHello, as the client learns it (RFC 8446 §6.2,
/// RFC 6066 §3, RFC 7301 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertReason {
    /// `unrecognized_name`: no such server name here.
    UnrecognizedName,
    /// `no_application_protocol`: none of the protocols that the client offers.
    NoApplicationProtocol,
    /// `access_denied`: the client may not.
    AccessDenied,
    /// `internal_error`: nothing that the client could mend.
    InternalError,
}

impl AlertReason {
    /// The number of the alert.
    pub fn code(self) -> u8 {
        match self {
            Self::AccessDenied => 49,
            Self::InternalError => 80,
            Self::UnrecognizedName => 112,
            Self::NoApplicationProtocol => 120,
        }
    }

    /// A plaintext record with the fatal alert.
    pub(super) fn record(self) -> [u8; 7] {
        fatal(self.code())
    }
}

/// `unexpected_message`, for a peer whose first record is no handshake.
pub(super) const UNEXPECTED_MESSAGE: [u8; 7] = fatal(10);

/// A plaintext record with a fatal alert (RFC 8446 §5.1 and §6; RFC 5246 §6.2.1 and §7.2).
const fn fatal(code: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, code]
}

/// What a peer has sent already and nobody reads would make the kernel answer the close with a
/// reset, which can overtake the alert. This much of it is read, in bytes.
const DISCARDED: usize = 64 * 1024;

/// Sends a last record. Errors are of no interest: the connection ends either way.
pub(super) async fn send_last<IO>(io: &mut IO, record: &[u8])
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    if io.write_all(record).await.is_ok() {
        finish(io).await;
    }
}

/// Flushes what was written last, and discards what has arrived, without waiting for more.
pub(super) async fn finish<IO>(io: &mut IO)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    if io.flush().await.is_err() {
        return;
    }
    poll_fn(|cx| {
        let mut space = [0; 2048];
        let mut left = DISCARDED;
        while left > 0 {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut *io).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    left = left.saturating_sub(buffer.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    })
    .await;
}
