//! A running kamailio: the registrar and proxy that SIP is tested against.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::{PortBlock, Process, target_directory, tool};

/// How long it may take until it takes messages.
const START: Duration = Duration::from_secs(20);

/// Kamailio with `interop/kamailio/kamailio.cfg`, whose first lines say what it does; ended when dropped.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
    port: u16,
    _ports: PortBlock,
}

/// What its TLS listener has, as PEM files.
#[derive(Debug, Clone, Copy)]
pub struct KamailioTls<'a> {
    /// Its certificate.
    pub certificate: &'a Path,
    /// The key of it.
    pub key: &'a Path,
    /// Whose certificates it takes where it dials.
    pub authority: &'a Path,
}

impl Kamailio {
    /// Starts it on ports of its own of 127.0.0.1 and waits until it takes messages. Panics with its output
    /// when it ends or stays silent instead.
    #[must_use]
    pub fn start() -> Self {
        Self::with(None)
    }

    /// As [`start`](Self::start), with TLS too.
    #[must_use]
    pub fn start_with_tls(tls: KamailioTls<'_>) -> Self {
        Self::with(Some(tls))
    }

    fn with(tls: Option<KamailioTls<'_>>) -> Self {
        let mut ports = PortBlock::claim();
        let port = ports.pair();
        let directory = target_directory().join("interop");
        fs::create_dir_all(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/kamailio/kamailio.cfg");
        let mut command = tool("kamailio");
        command
            .args(["-DD", "-E", "-m", "64", "-M", "8", "-f", file, "-Y"])
            .arg(directory)
            .args(["-l", &format!("udp:127.0.0.1:{port}")])
            .args(["-l", &format!("tcp:127.0.0.1:{port}")]);
        if let Some(tls) = tls {
            let define = |name: &str, file: &Path| format!("{name}=\"{}\"", file.display());
            command
                .args(["-l", &format!("tls:127.0.0.1:{}", port + 1)])
                .args(["-A", "WITH_TLS"])
                .args(["-A", &define("CERTIFICATE", tls.certificate)])
                .args(["-A", &define("KEY", tls.key)])
                .args(["-A", &define("AUTHORITY", tls.authority)]);
        }
        let process = Process::spawn(&command);
        process.wait_for_line(START, |line| line.contains("ready for SIP"));
        Self {
            process,
            port,
            _ports: ports,
        }
    }

    /// Where it has UDP, TCP and WebSockets.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where it has TLS and WebSockets over TLS, if it was started with them.
    #[must_use]
    pub fn tls_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + 1).into()
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }
}

impl Drop for Kamailio {
    /// A test that fails shows what came to it.
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kamailio:\n{}", self.output());
        }
    }
}
