//! One-to-one SCTP sockets (RFC 6458 §4): options, and messages with their stream.
//!
//! Making, binding and connecting such a socket needs nothing special: it is a stream socket of protocol
//! [`SCTP`]. Closing it shuts the association down in order; with a linger time of zero it is aborted.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use crate::control::{self, Control, Writer};
use crate::errno;

/// The protocol number of SCTP, for `socket(2)`.
pub const SCTP: i32 = libc::IPPROTO_SCTP;

/// `SCTP_ASSOC_CHANGE`, a type of news, and two of its states (`linux/sctp.h`).
const ASSOC_CHANGE: u16 = 0x8001;
const COMM_LOST: u16 = 1;
const SHUTDOWN_COMP: u16 = 3;

/// Options of an SCTP socket; connections inherit them from the socket they are accepted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SctpOptions {
    /// Whether small messages leave at once (`SCTP_NODELAY`).
    pub nodelay: bool,
    /// The largest piece that a message is cut into, in bytes (`SCTP_MAXSEG`); `None`: by the path's MTU.
    pub max_segment: Option<u32>,
    /// Streams to ask for, and to allow the peer (`SCTP_INITMSG`).
    pub streams_out: u16,
    /// Streams the peer may send on.
    pub streams_in: u16,
    /// How often an INIT is sent before connecting fails.
    pub init_attempts: u16,
    /// The longest wait between two of them, in whole milliseconds up to 65,535.
    pub init_timeout: Duration,
}

/// Which of [`SctpOptions`] the kernel refused.
#[derive(Debug)]
pub struct SctpOptionError {
    /// The field.
    pub option: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

/// Whether this kernel has SCTP.
///
/// # Errors
/// `ESOCKTNOSUPPORT` or `EPROTONOSUPPORT` without it (which of them depends on whether the module could be
/// looked for); other errors say nothing about that.
pub fn probe_sctp() -> io::Result<()> {
    let protocol = Some(socket2::Protocol::from(SCTP));
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, protocol).map(drop)
}

/// Sets all options, and has [`receive_sctp`] told the stream of each message.
pub fn set_sctp_options(socket: impl AsFd, options: &SctpOptions) -> Result<(), SctpOptionError> {
    let named = |option| move |source| SctpOptionError { option, source };
    let init = libc::sctp_initmsg {
        sinit_num_ostreams: options.streams_out,
        sinit_max_instreams: options.streams_in,
        sinit_max_attempts: options.init_attempts,
        sinit_max_init_timeo: u16::try_from(options.init_timeout.as_millis()).unwrap_or(u16::MAX),
    };
    set(&socket, libc::SCTP_INITMSG, &init).map_err(named("streams_out"))?;
    let nodelay = libc::c_int::from(options.nodelay);
    set(&socket, libc::SCTP_NODELAY, &nodelay).map_err(named("nodelay"))?;
    // struct sctp_assoc_value: the association (all), the size (0: by the path).
    let max_segment = [0, options.max_segment.unwrap_or(0)];
    set(&socket, libc::SCTP_MAXSEG, &max_segment).map_err(named("max_segment"))?;
    let on: libc::c_int = 1;
    set(&socket, libc::SCTP_RECVRCVINFO, &on).map_err(named("receive_info"))
}

/// Has [`receive_sctp`] told how the association of a connected socket ends. Without it a socket that is not blocking
/// hears neither of an ABORT, which does not make it readable, nor that its own shutdown is done; and with it one that
/// is still connecting does not become writable when it is refused.
///
/// # Errors
/// How the association has ended already.
pub fn watch_sctp(socket: impl AsFd) -> io::Result<()> {
    // struct sctp_event_subscribe: no ancillary data of old, but news of the association.
    set(&socket, libc::SCTP_EVENTS, &[0_u8, 1])?;
    let ended = socket2::SockRef::from(&socket).take_error()?;
    ended.map_or(Ok(()), Err)
}

/// A piece of a message that [`receive_sctp`] has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedSctp {
    /// Bytes of it in the buffer; zero: the association was shut down, by whichever end.
    pub length: usize,
    /// The stream, counted from 0.
    pub stream: u16,
    /// The payload protocol identifier, as a number.
    pub ppid: u32,
    /// Whether it may have overtaken others of its stream.
    pub unordered: bool,
    /// Whether the message ends here: the next piece begins another.
    pub complete: bool,
}

/// Takes a message, or as much of it as there is room for. Does not wait: `WouldBlock` when there is none. The buffer
/// has room for 64 bytes or more.
pub fn receive_sctp(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<ReceivedSctp> {
    // SAFETY: `msghdr` is integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    let mut control = Control::EMPTY;
    let mut iovec = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    let mut lost = false;
    let length = loop {
        header.msg_flags = 0;
        header.msg_controllen = Control::SIZE as _;
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: the header describes `buffer` and `control`, which outlive the call and are not used otherwise
        // meanwhile.
        let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
        match usize::try_from(received) {
            Ok(length) if header.msg_flags & libc::MSG_NOTIFICATION != 0 => {
                match change(&buffer[..length.min(buffer.len())]) {
                    Some(SHUTDOWN_COMP) => break 0,
                    // The next call says why.
                    Some(COMM_LOST) => lost = true,
                    _ => {}
                }
            }
            Ok(length) => break length.min(buffer.len()),
            Err(_) if errno::last() == libc::EINTR => {}
            Err(_) if lost && errno::last() == libc::EAGAIN => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Err(_) => return Err(io::Error::last_os_error()),
        }
    };
    let mut received = ReceivedSctp {
        length,
        stream: 0,
        ppid: 0,
        unordered: false,
        complete: header.msg_flags & libc::MSG_EOR != 0,
    };
    // SAFETY: the kernel has just filled `control` as the header says.
    unsafe {
        control::read(&header, |level, kind, data| {
            if (level, kind) == (libc::IPPROTO_SCTP, libc::SCTP_RCVINFO) {
                note(&mut received, data);
            }
        });
    }
    Ok(received)
}

/// What has become of the association, by `struct sctp_assoc_change` (RFC 6458 §6.1.1): at 0 the type, at 8 the state
/// (16 bits each).
fn change(news: &[u8]) -> Option<u16> {
    let short = |at: usize| Some(u16::from_ne_bytes(*news.get(at..)?.first_chunk()?));
    (short(0) == Some(ASSOC_CHANGE)).then(|| short(8)).flatten()
}

/// Reads `struct sctp_rcvinfo`: stream, sequence number, flags (16 bits each), then at 8 the identifier.
fn note(received: &mut ReceivedSctp, data: &[u8]) {
    let short = |at: usize| Some(u16::from_ne_bytes(*data.get(at..)?.first_chunk()?));
    received.stream = short(0).unwrap_or(0);
    let unordered = libc::SCTP_UNORDERED as u16;
    received.unordered = short(4).is_some_and(|flags| flags & unordered != 0);
    // The kernel carries the four bytes as they are; on the wire a number has its high byte first.
    let ppid = data.get(8..).and_then(<[u8]>::first_chunk);
    received.ppid = ppid.map_or(0, |bytes| u32::from_be_bytes(*bytes));
}

/// Sends a whole message. Does not wait: `WouldBlock` when there is no room for it.
///
/// # Errors
/// `EMSGSIZE` when it is longer than the send buffer, `EINVAL` for a stream that was not negotiated or an empty
/// message, `EPIPE` when the association is over.
pub fn send_sctp(
    socket: impl AsFd,
    message: &[u8],
    stream: u16,
    ppid: u32,
    unordered: bool,
) -> io::Result<()> {
    // SAFETY: `msghdr` is integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    let mut control = Control::EMPTY;
    let mut writer = Writer::new(&mut control);
    writer.sctp_send_info(stream, ppid, unordered);
    let used = writer.len();
    let mut iovec = libc::iovec {
        iov_base: message.as_ptr().cast_mut().cast(),
        iov_len: message.len(),
    };
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = used as _;
    loop {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the header describes `message` and `control`, which outlive the call; the kernel only reads them.
        let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const header, flags) };
        match usize::try_from(sent) {
            Ok(_) => return Ok(()),
            Err(_) if errno::last() == libc::EINTR => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
}

/// Sets an option whose value is plain integers.
fn set<T: Copy>(socket: &impl AsFd, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads the bytes of `value`, which outlives the call.
    errno::check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_SCTP,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })?;
    Ok(())
}
