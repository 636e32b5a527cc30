//! What the numbers in `errno` mean here.

use std::io;

/// The error of the system call that just failed.
pub(crate) fn last() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// Turns a negative return value into the error it stands for.
pub(crate) fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}

/// Whether the error can be an ICMP message about an earlier datagram.
///
/// With `IP_RECVERR` the kernel returns such an error once, from whichever call comes next, even on
/// an unconnected socket; the call itself did nothing. The list is what `icmp_err_convert` and
/// `icmpv6_err_convert` of the kernel produce.
pub(crate) fn is_icmp(number: i32) -> bool {
    matches!(
        number,
        libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EMSGSIZE
            | libc::ENOPROTOOPT
            | libc::EOPNOTSUPP
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EPROTO
            | libc::EACCES
    )
}
