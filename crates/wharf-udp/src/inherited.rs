//! Descriptors that the process was started with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use crate::errno;

/// One at a time looks whether a descriptor is free to be taken, and marks it.
static TAKING: Mutex<()> = Mutex::new(());

/// Takes a descriptor that was inherited over `exec`, once a process.
///
/// A descriptor that survived `exec` has no `FD_CLOEXEC`, and all that Rust's libraries open has it.
/// So the flag tells what was inherited from what the program opened itself; it is set on what is
/// taken, which is how a second taker is refused. A C library that opens descriptors without the
/// flag must not be asked for here.
///
/// # Errors
/// `EBADF`: there is no such descriptor. `InvalidInput`: 0 to 2, or one that was not inherited or is
/// taken already.
///
/// ```
/// // A file that the program opened itself is not given away.
/// use std::os::fd::AsRawFd;
/// let file = std::fs::File::open("/dev/null")?;
/// assert!(wharf_udp::inherited_descriptor(file.as_raw_fd()).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn inherited_descriptor(fd: RawFd) -> io::Result<OwnedFd> {
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if (0..=2).contains(&fd) {
        return refused("descriptors 0 to 2 are standard input, output and error");
    }
    let _guard = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: these calls take numbers only.
    let flags = errno::check(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    if flags & libc::FD_CLOEXEC != 0 {
        return refused("the descriptor was not inherited, or is taken already");
    }
    // SAFETY: as above.
    errno::check(unsafe { libc::fcntl(fd, libc::F_SETFD, flags | libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open; nothing in the process opened it, as it came over `exec`; and
    // the flag, set under the lock, keeps it from being handed out twice.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, IntoRawFd};

    /// A descriptor as `exec` would leave it: nobody's, and without the flag.
    fn left_by_exec() -> RawFd {
        let fd = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        // SAFETY: the call takes numbers only.
        errno::check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).unwrap();
        fd
    }

    #[test]
    fn an_inherited_descriptor_is_taken_once_and_not_passed_on() {
        let fd = left_by_exec();
        let taken = inherited_descriptor(fd).unwrap();
        assert_eq!(taken.as_raw_fd(), fd);
        // SAFETY: the call takes numbers only.
        assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFD) }, libc::FD_CLOEXEC);
        let again = inherited_descriptor(fd).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn what_is_closed_or_standard_is_refused() {
        let closed = inherited_descriptor(1_000_000).unwrap_err();
        assert_eq!(closed.raw_os_error(), Some(libc::EBADF));
        let standard = inherited_descriptor(2).unwrap_err();
        assert_eq!(standard.kind(), io::ErrorKind::InvalidInput);
    }
}
