//! Sockets that the process was started with: by number, or by the service manager's names
//! (`sd_listen_fds(3)`).

use std::env;
use std::os::fd::{OwnedFd, RawFd};

use super::BindError;
use crate::config::Address;

/// The first descriptor that the service manager passes (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// Takes one inherited descriptor.
pub(super) fn take(address: &Address, fd: RawFd) -> Result<OwnedFd, BindError> {
    wharf_udp::inherited_descriptor(fd).map_err(|source| BindError::Descriptor {
        address: address.clone(),
        fd,
        source,
    })
}

/// Takes all descriptors that the service manager passed under `name`.
pub(super) fn take_named(address: &Address, name: &str) -> Result<Vec<OwnedFd>, BindError> {
    let variable = |key| env::var(key).unwrap_or_default();
    let (count, names) = (variable("LISTEN_FDS"), variable("LISTEN_FDNAMES"));
    // The variables are for the process that the manager started, not for its children.
    let ours = variable("LISTEN_PID") == std::process::id().to_string();
    let count = count.parse().ok().filter(|_| ours).unwrap_or(0);
    let mut taken = Vec::new();
    for (fd, _) in passed(count, &names).filter(|(_, of)| *of == name) {
        taken.push(take(address, fd)?);
    }
    if taken.is_empty() {
        let mut passed: Vec<_> = passed(count, &names).map(|(_, of)| of.to_owned()).collect();
        passed.sort();
        passed.dedup();
        return Err(BindError::NotPassed {
            name: name.to_owned(),
            passed,
        });
    }
    Ok(taken)
}

/// Each descriptor with its name; one without is `unknown`, as in `sd_listen_fds_with_names(3)`.
fn passed(count: u16, names: &str) -> impl Iterator<Item = (RawFd, &str)> {
    let given = names.split(':').filter(|name| !name.is_empty());
    (FIRST..FIRST + RawFd::from(count)).zip(given.chain(std::iter::repeat("unknown")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_in_order_and_may_repeat() {
        let all: Vec<_> = passed(4, "web:tls:web").collect();
        assert_eq!(all, [(3, "web"), (4, "tls"), (5, "web"), (6, "unknown")]);
        assert_eq!(passed(0, "web").count(), 0);
    }

    #[test]
    fn a_name_that_was_not_passed_is_an_error_that_lists_those_that_were() {
        let address = "systemd:web".parse().unwrap();
        let error = take_named(&address, "web").unwrap_err().to_string();
        assert!(error.starts_with("bind systemd:web: ") && error.contains("passed are: none"));
    }

    #[test]
    fn a_descriptor_that_the_program_opened_is_not_taken() {
        let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&own);
        let error = take(&Address::Descriptor(fd), fd).unwrap_err();
        assert!(error.to_string().contains("was not inherited"), "{error}");
    }
}
