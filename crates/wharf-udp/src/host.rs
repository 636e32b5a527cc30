//! What the machine offers: its addresses and its processors.

use std::io;
use std::net::IpAddr;

use crate::errno;
use crate::name::{self, V4_LENGTH, V6_LENGTH};

/// The IPv4 and IPv6 addresses of all interfaces, loopback and link-local ones included, each once.
pub fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the call stores a list in `list`, freed below.
    errno::check(unsafe { libc::getifaddrs(&raw mut list) })?;
    let mut addresses = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: a node of the list is valid until `freeifaddrs`. An address is absent, or long
        // enough for its family; only the two lengths known are read.
        let bytes = unsafe {
            let address = (*next).ifa_addr;
            next = (*next).ifa_next;
            if address.is_null() {
                continue;
            }
            let length = match i32::from((*address).sa_family) {
                libc::AF_INET => V4_LENGTH,
                libc::AF_INET6 => V6_LENGTH,
                _ => continue,
            };
            std::slice::from_raw_parts(address.cast::<u8>(), length)
        };
        if let Some(address) = name::parse(bytes).map(|address| address.ip())
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    // SAFETY: the list came from `getifaddrs`, and no reference into it is left.
    unsafe { libc::freeifaddrs(list) };
    Ok(addresses)
}

/// A set of processors as the scheduler calls take it, 8,192 of them: the kernel's own maximum.
type CpuMask = [libc::c_ulong; 8192 / libc::c_ulong::BITS as usize];

/// Runs the calling thread on one processor only; `InvalidInput` when there is no such processor or
/// the process may not use it.
pub fn pin_current_thread(cpu: usize) -> io::Result<()> {
    let bits = libc::c_ulong::BITS as usize;
    let mut mask: CpuMask = [0; _];
    let Some(word) = mask.get_mut(cpu / bits) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    *word = 1 << (cpu % bits);
    // SAFETY: the kernel reads as many bytes as the mask has.
    errno::check(unsafe { libc::sched_setaffinity(0, size_of_val(&mask), mask.as_ptr().cast()) })?;
    Ok(())
}

/// The processors that the calling thread may run on, ascending; empty when the system does not say.
pub fn allowed_cpus() -> Vec<usize> {
    let bits = libc::c_ulong::BITS as usize;
    let mut mask: CpuMask = [0; _];
    // SAFETY: the kernel writes at most as many bytes as the mask has. On failure it stays empty.
    unsafe { libc::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    let set = |cpu: &usize| mask[cpu / bits] >> (cpu % bits) & 1 == 1;
    (0..mask.len() * bits).filter(set).collect()
}
