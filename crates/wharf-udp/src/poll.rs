//! Waiting for many descriptors (`epoll(7)`), level-triggered, and being woken from other threads.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::errno;

/// A set of descriptors to wait for. Level-triggered: what is not read is reported again.
#[derive(Debug)]
pub struct Poller {
    fd: OwnedFd,
    /// Whether the system has waits finer than a millisecond (`epoll_pwait2`, Linux 5.11).
    fine: Cell<bool>,
}

impl Poller {
    /// An empty set.
    pub fn new() -> io::Result<Poller> {
        // SAFETY: the call takes no pointers.
        let fd = errno::check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is new and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poller {
            fd,
            fine: Cell::new(true),
        })
    }

    /// Watches a descriptor for input and errors; its events carry `token`.
    pub fn add(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd.as_fd(), token)
    }

    /// Stops watching a descriptor. Closing it has the same effect.
    pub fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd.as_fd(), 0)
    }

    fn control(&self, operation: i32, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: token,
        };
        let (poller, fd) = (self.fd.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` outlives the call.
        errno::check(unsafe { libc::epoll_ctl(poller, operation, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits until something is ready or the time is over, and replaces the content of `events`.
    /// Returns their number: 0 after the timeout or a signal. `None` waits without limit. A timeout
    /// is kept to the microsecond where the system can, else rounded up to milliseconds.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        events.ready = 0;
        let mut found = match timeout {
            Some(time) if !time.is_zero() && self.fine.get() => self.wait_fine(events, time),
            _ => self.wait_coarse(events, timeout),
        };
        // Old kernels have no such call; some sandboxes refuse it.
        if matches!(&found, Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)))
        {
            self.fine.set(false);
            found = self.wait_coarse(events, timeout);
        }
        match found {
            Ok(found) => {
                events.ready = found.min(events.list.len());
                Ok(events.ready)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn wait_fine(&self, events: &mut Events, time: Duration) -> io::Result<usize> {
        // struct __kernel_timespec: seconds and nanoseconds, 64 bits each on all architectures.
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let timeout = [seconds, i64::from(time.subsec_nanos())];
        // SAFETY: the kernel writes at most `list.len()` events, and reads the timeout; no signal
        // mask is given.
        let found = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                events.list.as_mut_ptr(),
                events.room(),
                timeout.as_ptr(),
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(found).map_err(|_| io::Error::last_os_error())
    }

    fn wait_coarse(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = match timeout {
            None => -1,
            Some(time) => i32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(i32::MAX),
        };
        let (list, room) = (events.list.as_mut_ptr(), events.room());
        // SAFETY: the kernel writes at most `room` events, the length of the list.
        let found = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), list, room, timeout) };
        usize::try_from(found).map_err(|_| io::Error::last_os_error())
    }
}

/// Room for the events of one [`Poller::wait`].
pub struct Events {
    list: Vec<libc::epoll_event>,
    ready: usize,
}

impl Events {
    /// Room for this many events, at least one; what does not fit is reported by the next wait.
    pub fn new(capacity: usize) -> Events {
        let capacity = capacity.max(1);
        Events {
            list: vec![libc::epoll_event { events: 0, u64: 0 }; capacity],
            ready: 0,
        }
    }

    fn room(&self) -> libc::c_int {
        libc::c_int::try_from(self.list.len()).unwrap_or(libc::c_int::MAX)
    }

    /// The events of the last wait.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.list[..self.ready].iter().map(|event| {
            let flags = event.events.cast_signed();
            Event {
                token: event.u64,
                readable: flags & libc::EPOLLIN != 0,
                error: flags & (libc::EPOLLERR | libc::EPOLLHUP) != 0,
            }
        })
    }
}

/// One descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number given to [`Poller::add`].
    pub token: u64,
    /// Whether there is input.
    pub readable: bool,
    /// Whether an error is pending: for a socket, look at
    /// [`receive_error`](crate::Socket::receive_error).
    pub error: bool,
}

/// Ends the wait of a [`Poller`] from any thread (`eventfd(2)`). Clones wake the same poller.
#[derive(Clone, Debug)]
pub struct Waker {
    fd: Arc<OwnedFd>,
}

impl Waker {
    /// A waker that is not set; [`Poller::add`] it under a token of its own.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: the call takes no pointers.
        let fd = errno::check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the descriptor is new and belongs to nobody else.
        let fd = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Waker { fd })
    }

    /// Sets the waker: the poller reports it until [`drain`](Waker::drain). Setting it twice is as
    /// good as once.
    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes are read from an array of eight. The only failure possible, a counter
        // at its limit, means that the waker is set already.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Unsets the waker.
    pub fn drain(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: eight bytes are written to an array of eight. The only failure possible means
        // that the waker is not set.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
