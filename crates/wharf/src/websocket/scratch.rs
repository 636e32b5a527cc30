//! A thread's buffer for reading.
//!
//! A connection that waits needs a place to read into, and fifteen thousand that wait need only one
//! between them: bytes are read here and what came is copied out at its own size.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Two messages of 16 KiB, or the whole of a kernel's usual segment train; it stays in the second
/// level cache.
const SIZE: usize = 32 << 10;

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Reads once and hands over what came; nothing at the end of the stream. A read within a read on
/// one thread, as of a WebSocket within a WebSocket, has a buffer of its own.
pub(super) fn poll_read<IO: AsyncRead + Unpin, T>(
    io: &mut IO,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    let mut scratch = SCRATCH.take().unwrap_or_else(|| vec![0; SIZE].into());
    let mut buffer = ReadBuf::new(&mut scratch);
    let read = Pin::new(io).poll_read(cx, &mut buffer);
    let taken = read.map_ok(|()| take(buffer.filled()));
    SCRATCH.set(Some(scratch));
    Poll::Ready(ready!(taken))
}
