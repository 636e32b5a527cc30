//! What a failed accept means, and how to go on when descriptors or memory run out.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::SocketFlags;

/// What to do after a failed `accept(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AcceptError {
    /// Of one arrival, which is gone: accept the next.
    Transient,
    /// Descriptors or memory ran out, here or in the system: refuse one with the
    /// [`ReservedDescriptor`] and pause by the [`Backoff`].
    Exhausted,
    /// Of the listening socket itself: it will not accept again.
    Fatal,
}

/// Tells what to do after `accept(2)` failed with `error`.
///
/// `WouldBlock` is no failure and does not belong here; it would be transient.
pub fn classify(error: &io::Error) -> AcceptError {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => AcceptError::Exhausted,
        // accept(2), "Error handling": Linux passes on network errors that are already pending on
        // the new connection. EPERM is a firewall's, ETIMEDOUT and EHOSTUNREACH the network's.
        Some(
            libc::ECONNABORTED
            | libc::ECONNRESET
            | libc::EINTR
            | libc::EAGAIN
            | libc::EPROTO
            | libc::ENETDOWN
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ENETUNREACH
            | libc::EPERM
            | libc::ETIMEDOUT,
        ) => AcceptError::Transient,
        _ => AcceptError::Fatal,
    }
}

/// One descriptor kept back, so that a connection can be refused when no other is left: without it
/// the peer would hang in the backlog until a descriptor is free.
#[derive(Debug)]
pub struct ReservedDescriptor {
    held: Option<File>,
}

impl ReservedDescriptor {
    /// Takes the descriptor.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            held: Some(File::open("/dev/null")?),
        })
    }

    /// Gives the descriptor up, accepts one waiting connection with it, closes that and takes the
    /// descriptor back. `listener` must be non-blocking. Returns whether there was a connection.
    ///
    /// When another thread takes the descriptor in between, the reserve stays empty until a later
    /// call finds a free one.
    ///
    /// # Errors
    /// Those of `accept(2)`, of [`AcceptError::Exhausted`] kind while there is no reserve.
    pub fn release_and_refuse(&mut self, listener: &impl AsFd) -> io::Result<bool> {
        drop(self.held.take());
        // Dropping the connection at once closes it; with nothing read from it the peer sees an end,
        // or a reset when it has sent something.
        let accepted = rustix::net::accept_with(listener, SocketFlags::CLOEXEC).map(drop);
        self.held = File::open("/dev/null").ok();
        match accepted {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// How long to pause after each failure in a row: 100 ms, doubling to 1 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(1);

    /// Begins with the shortest pause.
    pub const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The pause after this failure.
    pub fn failed(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(Self::LONGEST);
        pause
    }

    /// After a success the next failure has the shortest pause again.
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn failures_are_sorted_by_what_to_do() {
        let of = |number| classify(&io::Error::from_raw_os_error(number));
        for number in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(of(number), AcceptError::Exhausted);
        }
        for number in [
            libc::ECONNABORTED,
            libc::EINTR,
            libc::EPROTO,
            libc::ENETDOWN,
        ] {
            assert_eq!(of(number), AcceptError::Transient);
        }
        for number in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(of(number), AcceptError::Fatal);
        }
        assert_eq!(classify(&io::Error::other("no number")), AcceptError::Fatal);
    }

    #[test]
    fn pauses_double_to_a_second_and_begin_anew() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..6).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        backoff.succeeded();
        assert_eq!(backoff.failed().as_millis(), 100);
    }

    #[test]
    fn one_waiting_connection_is_refused_and_the_reserve_is_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut reserve = ReservedDescriptor::new().unwrap();
        assert!(!reserve.release_and_refuse(&listener).unwrap());
        let mut refused = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(reserve.release_and_refuse(&listener).unwrap());
        assert!(reserve.held.is_some());
        assert_eq!(refused.read(&mut [0]).unwrap(), 0);
        listener.accept().expect("the second still waits");
    }
}
