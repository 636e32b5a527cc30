//! Options and state of TCP sockets that have no safe call elsewhere.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use crate::errno;

/// Sets how many connections may wait on a listener with data in their SYN, before their handshake
/// is complete (`TCP_FASTOPEN`, RFC 7413). 0 turns it off.
pub fn set_fast_open(socket: impl AsFd, queue: u32) -> io::Result<()> {
    set(socket, libc::TCP_FASTOPEN, queue)
}

/// The queue that [`set_fast_open`] set.
pub fn fast_open(socket: impl AsFd) -> io::Result<u32> {
    get(socket, libc::TCP_FASTOPEN)
}

/// Sets for how many seconds a listener may wait for a connection's first bytes before it is
/// accepted without (`TCP_DEFER_ACCEPT`); the kernel rounds up to its retransmission times (1, 3, 7,
/// 15, … s). 0 turns it off.
pub fn set_defer_accept(socket: impl AsFd, seconds: u32) -> io::Result<()> {
    set(socket, libc::TCP_DEFER_ACCEPT, seconds)
}

/// The seconds that [`set_defer_accept`] set, as the kernel rounded them.
pub fn defer_accept(socket: impl AsFd) -> io::Result<u32> {
    get(socket, libc::TCP_DEFER_ACCEPT)
}

/// The state of a TCP connection (RFC 9293, section 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are those of RFC 9293")]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A number that this crate has no name for.
    Other(u8),
}

impl From<u8> for TcpState {
    /// From the kernel's number (`enum` in `linux/tcp_states.h`).
    fn from(number: u8) -> TcpState {
        match number {
            1 => TcpState::Established,
            2 => TcpState::SynSent,
            3 | 12 => TcpState::SynReceived,
            4 => TcpState::FinWait1,
            5 => TcpState::FinWait2,
            6 => TcpState::TimeWait,
            7 => TcpState::Closed,
            8 => TcpState::CloseWait,
            9 => TcpState::LastAck,
            10 => TcpState::Listen,
            11 => TcpState::Closing,
            other => TcpState::Other(other),
        }
    }
}

/// What the kernel knows of one TCP connection at one moment (`TCP_INFO`). A field that the kernel
/// is too old to tell is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The connection's state.
    pub state: TcpState,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Mean deviation of the round-trip time.
    pub rtt_variation: Duration,
    /// Smallest round-trip time seen lately; `None` before the first measurement.
    pub min_rtt: Option<Duration>,
    /// Segments sent again since the connection began.
    pub retransmits: u32,
    /// Segments sent and not acknowledged yet.
    pub unacked: u32,
    /// Segments held to be lost.
    pub lost: u32,
    /// Congestion window, in segments.
    pub congestion_window: u32,
    /// Path MTU in bytes.
    pub path_mtu: u32,
    /// Bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
    /// Bytes in the send buffer that have not been sent.
    pub bytes_unsent: u32,
    /// Latest measured goodput, in bytes a second.
    pub delivery_rate: u64,
}

/// Asks the kernel for the state of a TCP connection. `EOPNOTSUPP` for a socket of another kind.
pub fn tcp_info(socket: impl AsFd) -> io::Result<TcpInfo> {
    tcp_info_of(socket.as_fd().as_raw_fd())
}

/// As [`tcp_info`], for a caller that holds the descriptor by its number and sees to it that it is
/// open: on a closed one the answer is `EBADF`, on one that was opened again since, about that.
pub fn tcp_info_of(descriptor: RawFd) -> io::Result<TcpInfo> {
    // SAFETY: `tcp_info` is plain integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `info`.
    errno::check(unsafe {
        libc::getsockopt(
            descriptor,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    })?;
    let microseconds = |value: u32| Duration::from_micros(value.into());
    Ok(TcpInfo {
        state: info.tcpi_state.into(),
        rtt: microseconds(info.tcpi_rtt),
        rtt_variation: microseconds(info.tcpi_rttvar),
        // The filter starts at the largest number.
        min_rtt: match info.tcpi_min_rtt {
            0 | u32::MAX => None,
            measured => Some(microseconds(measured)),
        },
        retransmits: info.tcpi_total_retrans,
        unacked: info.tcpi_unacked,
        lost: info.tcpi_lost,
        congestion_window: info.tcpi_snd_cwnd,
        path_mtu: info.tcpi_pmtu,
        bytes_acked: info.tcpi_bytes_acked,
        bytes_received: info.tcpi_bytes_received,
        bytes_unsent: info.tcpi_notsent_bytes,
        delivery_rate: info.tcpi_delivery_rate,
    })
}

fn set(socket: impl AsFd, option: i32, value: u32) -> io::Result<()> {
    let value = i32::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of `value`, which outlives the call.
    errno::check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            length,
        )
    })?;
    Ok(())
}

fn get(socket: impl AsFd, option: i32) -> io::Result<u32> {
    let mut value: u32 = 0;
    let mut length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `value`.
    errno::check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn options_of_a_listener_are_read_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_fast_open(&listener, 17).unwrap();
        assert_eq!(fast_open(&listener).unwrap(), 17);
        set_defer_accept(&listener, 3).unwrap();
        assert_eq!(defer_accept(&listener).unwrap(), 3);
        assert!(set_defer_accept(&listener, u32::MAX).is_err());
    }

    #[test]
    fn the_state_of_a_connection_counts_what_was_exchanged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(tcp_info(&listener).unwrap().state, TcpState::Listen);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        client.write_all(b"twelve bytes").unwrap();
        let mut read = [0; 12];
        server.read_exact(&mut read).unwrap();
        server.write_all(b"answer").unwrap();
        client.read_exact(&mut read[..6]).unwrap();
        let info = tcp_info(&server).unwrap();
        assert_eq!(info.state, TcpState::Established);
        assert_eq!(info.bytes_received, 12);
        assert!(info.congestion_window > 0 && info.path_mtu > 0);
        assert!(info.rtt > Duration::ZERO && info.min_rtt.is_some());
        let sent = tcp_info(&client).unwrap();
        assert!(sent.bytes_acked >= 12 && sent.unacked == 0 && sent.retransmits == 0);
        drop(client);
        assert_eq!(server.read(&mut read).unwrap(), 0);
        assert_eq!(tcp_info(&server).unwrap().state, TcpState::CloseWait);
    }

    #[test]
    fn a_socket_of_another_kind_has_no_such_state() {
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(
            tcp_info(&socket).unwrap_err().raw_os_error(),
            Some(libc::EOPNOTSUPP)
        );
    }
}
