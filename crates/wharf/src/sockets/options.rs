//! Socket options, from configuration to the kernel.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;
use socket2::{SockRef, Socket, TcpKeepalive};

use super::BindError;
use crate::config::units::format_duration;
use crate::config::{AcceptOptions, Address, DualStack, KeepAlive, SocketOptions};

/// A socket option that cannot be set, by its key.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {value}: {source}{}", advice(.key, .source))]
pub struct OptionError {
    /// The key, such as `"socket.mptcp"`.
    pub key: &'static str,
    /// The value asked for.
    pub value: String,
    /// The kernel's answer.
    pub source: io::Error,
}

/// What may be done about it.
fn advice(key: &str, source: &io::Error) -> &'static str {
    match (key, source.raw_os_error()) {
        (
            "socket.mptcp",
            Some(libc::EPROTONOSUPPORT | libc::ENOPROTOOPT | libc::EINVAL | libc::ESOCKTNOSUPPORT),
        ) => {
            ": this host has no Multipath TCP; it takes a kernel with CONFIG_MPTCP and net.mptcp.enabled = 1"
        }
        ("socket.fast-open", None) => ": add 2 to net.ipv4.tcp_fastopen with sysctl",
        ("socket.device", Some(libc::ENODEV)) => ": no such network device (`ip link` lists them)",
        ("socket.transparent", Some(libc::EPERM)) => ": it needs CAP_NET_ADMIN",
        ("socket.device", Some(libc::EPERM)) => ": it needs CAP_NET_RAW",
        (_, Some(libc::EOPNOTSUPP | libc::ENOPROTOOPT)) => {
            ": this host, or the kind of socket that socket.mptcp asks for, does not have the option"
        }
        _ => "",
    }
}

/// Names the option in the error of setting it.
pub(super) fn named<T: fmt::Display>(
    key: &'static str,
    value: impl FnOnce() -> T,
) -> impl FnOnce(io::Error) -> OptionError {
    move |source| OptionError {
        key,
        value: value().to_string(),
        source,
    }
}

/// An absent value as configuration has it.
fn or_off(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "off".to_owned(), |value| value.to_string())
}

/// The options that belong to a connection. The default is how the kernel makes one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Held {
    nodelay: bool,
    keepalive: Option<KeepAlive>,
    user_timeout: Option<Duration>,
    receive_buffer: Option<u64>,
    send_buffer: Option<u64>,
    notsent_lowat: Option<u64>,
    dscp: Option<u8>,
    linger: Option<Duration>,
}

impl Held {
    /// What a connection is to have.
    fn wanted(options: &SocketOptions, is_ip: bool) -> Self {
        let buffers = Self {
            receive_buffer: options.receive_buffer,
            send_buffer: options.send_buffer,
            ..Self::default()
        };
        if !is_ip {
            return buffers;
        }
        Self {
            nodelay: options.nodelay,
            keepalive: options.keepalive,
            user_timeout: options.user_timeout,
            notsent_lowat: options.notsent_lowat,
            dscp: options.dscp,
            linger: options.linger,
            ..buffers
        }
    }

    /// What a connection has from a listener that was made with `bound`.
    fn inherited(bound: &SocketOptions, is_ip: bool) -> Self {
        if !is_ip {
            return Self::default();
        }
        let mut held = Self::wanted(bound, true);
        if bound.mptcp {
            // The kernel keeps this one from a connection that fell back to plain TCP.
            held.notsent_lowat = None;
        }
        held
    }
}

/// A TCP socket for `address`'s family, with the options that must be set before it is bound.
pub(super) fn tcp_socket(
    address: SocketAddr,
    options: &SocketOptions,
) -> Result<Socket, BindError> {
    let protocol = if options.mptcp {
        socket2::Protocol::MPTCP
    } else {
        socket2::Protocol::TCP
    };
    let kind = socket2::Type::STREAM.nonblocking().cloexec();
    let domain = socket2::Domain::for_address(address);
    let socket = Socket::new(domain, kind, Some(protocol)).map_err(|source| {
        if options.mptcp {
            named("socket.mptcp", || true)(source).into()
        } else {
            let address = Address::Ip(address);
            BindError::Address { address, source }
        }
    })?;
    before_any_bind(&socket, address, options)?;
    Ok(socket)
}

/// What a UDP socket has, bound here or inherited.
pub(crate) fn apply_to_datagrams(
    socket: &impl AsFd,
    options: &SocketOptions,
) -> Result<(), OptionError> {
    change_datagrams(socket, &SocketOptions::default(), options, true)
}

/// Gives a datagram socket its options; those that it had by `bound` are not set again.
pub(super) fn change_datagrams(
    socket: &impl AsFd,
    bound: &SocketOptions,
    wanted: &SocketOptions,
    is_ip: bool,
) -> Result<(), OptionError> {
    let of = |options: &SocketOptions| Held {
        receive_buffer: options.receive_buffer,
        send_buffer: options.send_buffer,
        dscp: options.dscp.filter(|_| is_ip),
        ..Held::default()
    };
    set_changed(socket, of(bound), of(wanted))
}

/// What any socket of IP must have before it is bound.
pub(super) fn before_any_bind(
    socket: &Socket,
    address: SocketAddr,
    options: &SocketOptions,
) -> Result<(), OptionError> {
    let v6 = address.is_ipv6();
    if options.freebind {
        // On IPv6 the flag is the same one; the call of the socket's own family is asked.
        let set = if v6 {
            socket.set_freebind_v6(true)
        } else {
            socket.set_freebind_v4(true)
        };
        set.map_err(named("socket.freebind", || true))?;
    }
    if options.transparent {
        let set = if v6 {
            socket.set_ip_transparent_v6(true)
        } else {
            socket.set_ip_transparent_v4(true)
        };
        set.map_err(named("socket.transparent", || true))?;
    }
    if let Some(device) = &options.device {
        socket
            .bind_device(Some(device.as_bytes()))
            .map_err(named("socket.device", || format!("{device:?}")))?;
    }
    Ok(())
}

/// What only a listening stream socket has, and must have before it is bound.
pub(super) fn before_bind(
    socket: &Socket,
    address: SocketAddr,
    accept: &AcceptOptions,
    options: &SocketOptions,
) -> Result<(), OptionError> {
    // A restart must not wait for the connections of the last run to leave TIME_WAIT. UDP has none,
    // and there the option would let others take the port.
    socket
        .set_reuse_address(true)
        .map_err(named("SO_REUSEADDR", || true))?;
    before_listening(socket, address, accept, options)
}

/// What only a listener has, of streams or datagrams, and must have before it is bound.
pub(super) fn before_listening(
    socket: &Socket,
    address: SocketAddr,
    accept: &AcceptOptions,
    options: &SocketOptions,
) -> Result<(), OptionError> {
    if address.is_ipv6() {
        let only = options.dual_stack == DualStack::Ipv6Only;
        socket
            .set_only_v6(only)
            .map_err(named("socket.dual-stack", || match options.dual_stack {
                DualStack::Both => "both",
                DualStack::Ipv6Only => "ipv6-only",
            }))?;
    }
    if accept.reuse_port {
        socket
            .set_reuse_port(true)
            .map_err(named("accept.reuse-port", || true))?;
    }
    Ok(())
}

/// What a listening TCP socket has, bound here or inherited: its own options, and those that its
/// connections inherit.
pub(super) fn apply_to_listener(
    listener: &impl AsFd,
    options: &SocketOptions,
) -> Result<(), OptionError> {
    set_changed(listener, Held::default(), Held::wanted(options, true))?;
    if let Some(queue) = options.fast_open {
        let failed = || named("socket.fast-open", move || queue);
        if queue > 0 {
            server_may_fast_open().map_err(failed())?;
        }
        wharf_udp::set_fast_open(listener, queue).map_err(failed())?;
    }
    if let Some(wait) = options.defer_accept {
        wharf_udp::set_defer_accept(listener, whole_seconds(wait))
            .map_err(named("socket.defer-accept", || format_duration(wait)))?;
    }
    Ok(())
}

/// The kernel takes the option even where `net.ipv4.tcp_fastopen` keeps servers from using it.
fn server_may_fast_open() -> io::Result<()> {
    const SERVER: u32 = 2;
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen").ok();
    match setting.and_then(|text| text.trim().parse::<u32>().ok()) {
        Some(bits) if bits & SERVER == 0 => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the host does not let servers use TCP Fast Open",
        )),
        _ => Ok(()),
    }
}

/// Whether a connection accepted from a listener that was made with `bound` needs
/// [`apply_to_connection`] to have the options `wanted`.
///
/// On Linux a TCP connection inherits the options of its listener, so the answer is no until they
/// are changed live; a Unix connection inherits none, and one from a listener with `mptcp` may lack
/// `notsent-lowat`.
pub fn needs_apply(bound: &SocketOptions, wanted: &SocketOptions, is_ip: bool) -> bool {
    Held::inherited(bound, is_ip) != Held::wanted(wanted, is_ip)
}

/// Gives an accepted connection the options `wanted`; only what differs from what it has inherited
/// from a listener made with `bound` costs a system call. What is no longer wanted goes back to the
/// kernel's default, but for buffers, which keep their size. A listening TCP socket can be given here
/// as well: what it accepts from then on inherits the change.
pub fn apply_to_connection(
    connection: &impl AsFd,
    bound: &SocketOptions,
    wanted: &SocketOptions,
    is_ip: bool,
) -> Result<(), OptionError> {
    let have = Held::inherited(bound, is_ip);
    set_changed(connection, have, Held::wanted(wanted, is_ip))
}

/// Gives a TCP socket that is about to connect its options.
pub(super) fn apply_to_client(
    socket: &impl AsFd,
    options: &SocketOptions,
) -> Result<(), OptionError> {
    set_changed(socket, Held::default(), Held::wanted(options, true))
}

/// Makes closing reset the connection: unsent data is discarded, and the peer gets an RST
/// (`SO_LINGER` of zero).
pub fn reset_on_close(connection: &impl AsFd) -> io::Result<()> {
    SockRef::from(connection).set_linger(Some(Duration::ZERO))
}

fn set_changed(fd: &impl AsFd, have: Held, want: Held) -> Result<(), OptionError> {
    if have == want {
        return Ok(());
    }
    let socket = SockRef::from(fd);
    if let Some(bytes) = want.receive_buffer
        && have.receive_buffer != want.receive_buffer
    {
        // Above `net.core.rmem_max` it takes CAP_NET_ADMIN, and is cut to the maximum without.
        sockopt::set_socket_recv_buffer_size_force(fd, bytes as usize)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(fd, bytes as usize))
            .map_err(|error| named("socket.receive-buffer", || bytes)(error.into()))?;
    }
    if let Some(bytes) = want.send_buffer
        && have.send_buffer != want.send_buffer
    {
        sockopt::set_socket_send_buffer_size_force(fd, bytes as usize)
            .or_else(|_| sockopt::set_socket_send_buffer_size(fd, bytes as usize))
            .map_err(|error| named("socket.send-buffer", || bytes)(error.into()))?;
    }
    if have.nodelay != want.nodelay {
        socket
            .set_tcp_nodelay(want.nodelay)
            .map_err(named("socket.nodelay", || want.nodelay))?;
    }
    if have.keepalive != want.keepalive {
        let set = match want.keepalive {
            None => socket.set_keepalive(false),
            Some(probes) => socket.set_tcp_keepalive(
                &TcpKeepalive::new()
                    .with_time(probes.idle)
                    .with_interval(probes.interval)
                    .with_retries(probes.count),
            ),
        };
        let shown = |probes: KeepAlive| format!("{probes:?}");
        set.map_err(named("socket.keepalive", || {
            or_off(want.keepalive.map(shown))
        }))?;
    }
    if have.user_timeout != want.user_timeout {
        socket
            .set_tcp_user_timeout(want.user_timeout)
            .map_err(named("socket.user-timeout", || {
                or_off(want.user_timeout.map(format_duration))
            }))?;
    }
    if have.notsent_lowat != want.notsent_lowat {
        // 0 is the kernel's default: what `net.ipv4.tcp_notsent_lowat` says.
        let bytes = want.notsent_lowat.unwrap_or(0);
        socket
            .set_tcp_notsent_lowat(u32::try_from(bytes).unwrap_or(u32::MAX))
            .map_err(named("socket.notsent-lowat", || bytes))?;
    }
    if have.dscp != want.dscp {
        set_dscp(&socket, want.dscp.unwrap_or(0))
            .map_err(named("socket.dscp", || or_off(want.dscp)))?;
    }
    if have.linger != want.linger {
        let seconds = |wait| Duration::from_secs(whole_seconds(wait).into());
        socket
            .set_linger(want.linger.map(seconds))
            .map_err(named("socket.linger", || {
                or_off(want.linger.map(format_duration))
            }))?;
    }
    Ok(())
}

/// The upper six bits of the TOS or traffic class octet (RFC 2474, section 3). An IPv6 socket also
/// carries IPv4, by the mapped addresses, and takes both options.
fn set_dscp(socket: &SockRef<'_>, code_point: u8) -> io::Result<()> {
    let octet = u32::from(code_point) << 2;
    if socket.domain()? == socket2::Domain::IPV6 {
        socket.set_tclass_v6(octet)?;
    }
    socket.set_tos_v4(octet)
}

/// The kernel counts these times in seconds; a fraction is rounded up, so that it does not vanish.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    // The kernel keeps them in a C `int`.
    seconds.min(i32::MAX as u64) as u32
}

#[cfg(test)]
mod tests;
