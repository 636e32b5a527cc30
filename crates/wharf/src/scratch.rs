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
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends `size` bytes, which hold anything. Who borrows within a loan on one thread, as a WebSocket
/// within a WebSocket does, has a buffer of its own.
pub(crate) fn lend<T>(size: usize, borrower: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.take();
    if scratch.len() < size {
        scratch.resize(size, 0);
    }
    let result = borrower(&mut scratch[..size]);
    SCRATCH.set(scratch);
    result
}

/// Reads once and hands over what came; nothing at the end of the stream.
pub(crate) fn poll_read<IO: AsyncRead + Unpin, T>(
    io: &mut IO,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    lend(SIZE, |scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}
