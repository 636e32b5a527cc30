//! A timer that a [`Poller`](crate::Poller) watches (`timerfd(2)`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::errno;

/// Readable from the moment it is set to until it is [drained](Timer::drain). A wait without a limit
/// and a timer that is set now and then cost less than a limit for each wait, which the system has to
/// set up and take down again every time.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// A timer that is not set.
    pub fn new() -> io::Result<Timer> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: the call takes no pointers.
        let fd = errno::check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: the descriptor is new and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Timer { fd })
    }

    /// Sets the timer to go off once, this long from now; at once for zero. What it was set to before
    /// is forgotten.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        let none = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // A zero would unset the timer.
        let after = after.max(Duration::from_nanos(1));
        let value = libc::itimerspec {
            it_interval: none,
            it_value: libc::timespec {
                tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: libc::c_long::from(after.subsec_nanos().cast_signed()),
            },
        };
        let fd = self.fd.as_raw_fd();
        // SAFETY: the kernel reads `value`, and is asked for no old value.
        errno::check(unsafe {
            libc::timerfd_settime(fd, 0, &raw const value, std::ptr::null_mut())
        })?;
        Ok(())
    }

    /// Makes the timer unreadable until it goes off again.
    pub fn drain(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: eight bytes are written to an array of eight. The only failure possible means
        // that the timer has not gone off.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
