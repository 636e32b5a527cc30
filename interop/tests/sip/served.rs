//! A running server whose listeners are those of a SIP layer.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use wharf::{Builder, DrainReport, Handle, Server, Tcp, Udp};
use wharf_sip_transport::{Sip, SipOptions, Upper};

/// How long an event at the server or the end of a peer may take.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Where the listeners of tests are: a port that the kernel chooses.
pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

/// A SIP layer and its listeners, on a thread of their own.
pub(crate) struct Served {
    pub(crate) sip: Sip,
    pub(crate) handle: Handle,
    pub(crate) runtime: runtime::Handle,
    thread: Option<JoinHandle<DrainReport>>,
}

impl Served {
    /// A layer below `upper`, with the listeners that `build` gives the server.
    pub(crate) fn start(upper: impl Upper, build: impl FnOnce(Builder, &Sip) -> Builder) -> Self {
        let runtime = runtime();
        let sip = Sip::new(SipOptions::default(), upper);
        let server = {
            let _within = runtime.enter();
            let server = build(Server::builder(), &sip).build();
            server.unwrap_or_else(|error| panic!("{error}"))
        };
        let handle = server.handle();
        let outside = runtime.handle().clone();
        let thread = thread::spawn(move || runtime.block_on(server.run()));
        Self {
            sip,
            handle,
            runtime: outside,
            thread: Some(thread),
        }
    }

    /// A layer with the listeners `udp` and `tcp` on loopback.
    pub(crate) fn plain(upper: impl Upper) -> Self {
        Self::start(upper, |server, sip| {
            server
                .listen_with("udp", Udp::bind(LOOPBACK), sip.datagrams())
                .listen_with("tcp", Tcp::bind(LOOPBACK), sip.streams())
        })
    }

    /// Where the listener of this name is.
    #[track_caller]
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let address = self.handle.address(listener).expect("a listener");
        address.ip().expect("an address")
    }
}

impl Drop for Served {
    /// Ends the listeners and what they still hold, without the courtesy of a drain.
    fn drop(&mut self) {
        self.runtime.block_on(self.handle.drain(Duration::ZERO));
        let thread = self.thread.take().expect("until here");
        let ended = thread.join();
        assert!(ended.is_ok() || thread::panicking(), "the server panicked");
    }
}

fn runtime() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}
