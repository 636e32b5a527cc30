//! Which of the sockets that share a port gets a datagram (`SO_ATTACH_REUSEPORT_CBPF`, `socket(7)`).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::errno;

/// How the kernel spreads datagrams over sockets with
/// [`SocketOptions::reuse_port`](crate::SocketOptions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Steering {
    /// By a hash of the addresses and ports: a sender that keeps its address keeps its socket.
    #[default]
    Flow,
    /// By a number in the payload, big-endian, modulo the number of sockets: whoever hands out such
    /// numbers chooses the socket, whatever address the datagrams come from. Of a longer identifier, take
    /// bytes that differ.
    ///
    /// A datagram that is too short for it is spread by [`Flow`](Steering::Flow).
    Payload {
        /// Where the number begins, in bytes from the start of the payload.
        offset: u16,
        /// Its length in bytes: 1 to 4.
        length: u8,
    },
    /// By one byte of the destination connection id of QUIC, modulo the number of sockets, whatever the
    /// version (RFC 8999 §5.1, §5.2). A datagram whose connection id has no such byte is spread by
    /// [`Flow`](Steering::Flow); where ids are longer than 20 bytes, all are.
    QuicConnectionId {
        /// Which byte of the id, from 0 to 19.
        byte: u8,
    },
}

/// What the program answers when it has no opinion: no group has so many sockets, and the kernel falls
/// back to the hash of the addresses.
const ANY: u32 = u32::MAX;

/// Longest connection id of QUIC version 1 (RFC 9000 §17.2).
const LONGEST_ID: u8 = 20;

/// Has the kernel spread the datagrams of a port over `sockets` sockets. Said of one of them, it holds for
/// all, and replaces what was said before.
///
/// Sockets count from zero in the order in which they were bound. When one of them is closed, the one bound
/// last takes its place: steer again if sockets come and go. A number without a socket is spread by
/// [`Steering::Flow`].
///
/// Errors are the kernel's, and `InvalidInput` for a length, an offset or a byte outside its range, or for
/// no socket.
///
/// ```
/// use wharf_udp::{Socket, SocketOptions, Steering, steer};
///
/// let shared = SocketOptions { reuse_port: true, ..SocketOptions::default() };
/// let first = Socket::bind("127.0.0.1:0".parse().unwrap(), &shared)?;
/// let second = Socket::bind(first.local_addr(), &shared)?;
/// steer(&first, Steering::Payload { offset: 0, length: 1 }, 2)?;
///
/// let client = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// client.send_to(&[7], first.local_addr())?;
/// let mut batch = wharf_udp::ReceiveBatch::new(1);
/// assert_eq!(second.receive(&mut batch, 1)?, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn steer(socket: &impl AsFd, steering: Steering, sockets: u32) -> io::Result<()> {
    let program = program(steering, sockets).ok_or_else(|| {
        let text = format!("cannot steer {steering:?} to {sockets} sockets");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    let fd = socket.as_fd().as_raw_fd();
    let code = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads `code` and the instructions that it leads to, and keeps neither.
    errno::check(unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const code).cast(),
            size_of_val(&code) as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// The classic BPF program; `None` for what cannot be.
///
/// It sees the payload of the datagram: the kernel has taken the headers off. A load behind its end would
/// end the program with socket 0, so that lengths are compared first.
fn program(steering: Steering, sockets: u32) -> Option<Vec<libc::sock_filter>> {
    if sockets == 0 {
        return None;
    }
    let mut code = Vec::new();
    match steering {
        Steering::Flow => {}
        Steering::Payload { offset, length } => {
            let offset = u32::from(offset);
            let load = match length {
                1 => vec![load(libc::BPF_B, offset)],
                2 => vec![load(libc::BPF_H, offset)],
                // The first byte is kept in X, shifted, while the other two are loaded.
                3 => vec![
                    load(libc::BPF_B, offset),
                    op(libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K, 16),
                    op(libc::BPF_MISC | libc::BPF_TAX, 0),
                    load(libc::BPF_H, offset + 1),
                    op(libc::BPF_ALU | libc::BPF_OR | libc::BPF_X, 0),
                ],
                4 => vec![load(libc::BPF_W, offset)],
                _ => return None,
            };
            code.push(op(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0));
            let rest = load.len() as u8 + 2;
            code.push(at_least(offset + u32::from(length), 0, rest));
            code.extend(load);
            code.extend(choose(sockets));
        }
        Steering::QuicConnectionId { byte } => {
            if byte >= LONGEST_ID {
                return None;
            }
            let byte = u32::from(byte);
            let [modulo, answer] = choose(sockets);
            code.extend([
                op(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0),
                // Long headers have seven bytes at least, and short ones follow on a byte or more.
                at_least(2 + byte, 0, 13),
                load(libc::BPF_B, 0),
                op_jump(libc::BPF_JSET, 0x80, 3, 0),
                // RFC 8999 §5.2: the id follows the first byte.
                load(libc::BPF_B, 1 + byte),
                modulo,
                answer,
                // RFC 8999 §5.1: first byte, version, length of the id, id.
                op(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0),
                at_least(7 + byte, 0, 6),
                load(libc::BPF_B, 5),
                at_least(byte + 1, 0, 4),
                op_jump(libc::BPF_JGT, u32::from(LONGEST_ID), 3, 0),
                load(libc::BPF_B, 6 + byte),
                modulo,
                answer,
            ]);
        }
    }
    code.push(op(libc::BPF_RET | libc::BPF_K, ANY));
    Some(code)
}

/// Answers the number loaded, modulo the number of sockets.
fn choose(sockets: u32) -> [libc::sock_filter; 2] {
    [
        op(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, sockets),
        op(libc::BPF_RET | libc::BPF_A, 0),
    ]
}

fn load(size: u32, offset: u32) -> libc::sock_filter {
    op(libc::BPF_LD | size | libc::BPF_ABS, offset)
}

fn at_least(k: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    op_jump(libc::BPF_JGE, k, then, otherwise)
}

fn op(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

fn op_jump(kind: u32, k: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: (libc::BPF_JMP | kind | libc::BPF_K) as u16,
        jt: then,
        jf: otherwise,
        k,
    }
}
