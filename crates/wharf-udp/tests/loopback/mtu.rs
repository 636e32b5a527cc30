//! What the size of the path does. Runs in a network namespace of its own, whose loopback interface
//! has the least MTU that IPv6 allows.

use std::os::unix::process::CommandExt;
use std::process::Command;

use wharf_udp::SocketOptions;

use crate::common::{V4, V6, bind, plain, receive, send, wait};

const INSIDE: &str = "WHARF_UDP_TEST_NAMESPACE";
const MTU: i32 = 1280;

#[test]
fn datagrams_beyond_the_mtu() {
    if std::env::var_os(INSIDE).is_some() {
        shrink_loopback();
        for address in [V4, V6] {
            bursts_that_cannot_be_cut_go_one_by_one(address);
            fragmentation_can_be_forbidden(address);
            errors_do_not_stop_a_burst_sent_one_by_one(address);
        }
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", "mtu::datagrams_beyond_the_mtu", "--nocapture"])
        .env(INSIDE, "1");
    // SAFETY: between fork and exec only `unshare` is called, which is async-signal-safe.
    unsafe { again.pre_exec(enter_namespace) };
    let output = again
        .output()
        .expect("needs root, or user namespaces, for a network namespace");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn bursts_that_cannot_be_cut_go_one_by_one(address: &str) {
    let (server, client) = (bind(address, &plain()), bind(address, &plain()));
    let sent: Vec<Vec<u8>> = (0..5)
        .map(|i| vec![i; if i == 4 { 9 } else { 2000 }])
        .collect();
    let payloads: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
    let report = send(&client, server.local_addr(), &payloads);
    assert_eq!(
        (report.sent, report.sent_bytes, report.failed),
        (5, 8009, 0)
    );
    let got: Vec<_> = receive(&server, 5).0.into_iter().map(|d| d.bytes).collect();
    assert_eq!(got, sent);
}

/// Each datagram but the first meets the ICMP error that the one before it caused.
fn errors_do_not_stop_a_burst_sent_one_by_one(address: &str) {
    let client = bind(
        address,
        &SocketOptions {
            errors: true,
            ..plain()
        },
    );
    let nobody = bind(address, &plain()).local_addr();
    let report = send(&client, nobody, &[&[1; 2000][..]; 5]);
    assert_eq!((report.sent, report.failed), (5, 0));
    for _ in 0..5 {
        assert!(wait(&client).error);
        assert_eq!(client.receive_error().unwrap().unwrap().destination, nobody);
    }
}

fn fragmentation_can_be_forbidden(address: &str) {
    let (server, client) = (bind(address, &plain()), bind(address, &plain()));
    for _ in 0..2 {
        client.set_dont_fragment(true).unwrap();
    }
    let report = send(
        &client,
        server.local_addr(),
        &[&[1; 2000], &[2; 2000], b"fits", b"too!"],
    );
    assert_eq!((report.sent, report.failed), (2, 2));
    assert_eq!(report.last_error, Some(libc::EMSGSIZE));
    client.set_dont_fragment(false).unwrap();
    assert_eq!(send(&client, server.local_addr(), &[&[3; 2000]]).sent, 1);
    let got: Vec<_> = receive(&server, 3).0.into_iter().map(|d| d.bytes).collect();
    assert_eq!(got, [b"fits".to_vec(), b"too!".to_vec(), vec![3; 2000]]);
}

fn enter_namespace() -> std::io::Result<()> {
    // SAFETY: the calls take no pointers. A user namespace is the way for those who are not root.
    let entered = unsafe {
        libc::unshare(libc::CLONE_NEWNET) == 0
            || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) == 0
    };
    if entered {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

fn shrink_loopback() {
    // SAFETY: `ifreq` is integers, for which zero is a value; the ioctls read it while it lives.
    unsafe {
        let control = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[..2].copy_from_slice(&[b'l'.cast_signed(), b'o'.cast_signed()]);
        request.ifr_ifru.ifru_mtu = MTU;
        assert_eq!(
            libc::ioctl(control, libc::SIOCSIFMTU as _, &raw const request),
            0
        );
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
        assert_eq!(
            libc::ioctl(control, libc::SIOCSIFFLAGS as _, &raw const request),
            0
        );
        libc::close(control);
    }
}
