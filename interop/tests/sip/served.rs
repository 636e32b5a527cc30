//! A running server whose listeners are those of a SIP layer.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use wharf::config::Pem;
use wharf::{Builder, DrainReport, Handle, Server, Tcp, Tls, Udp, Ws, Wss};
use wharf_sip::Transport;
use wharf_sip::pool::PoolKey;
use wharf_sip_transport::{DialOptions, Dialer, FlowRef, Sip, SipOptions, Upper};

use crate::pki::Leaf;

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
        Self::start_with(|| upper, build)
    }

    /// The same with an upper layer that is made on the runtime.
    pub(crate) fn start_with<U: Upper>(
        upper: impl FnOnce() -> U,
        build: impl FnOnce(Builder, &Sip) -> Builder,
    ) -> Self {
        let runtime = runtime();
        let within = runtime.enter();
        let sip = Sip::new(SipOptions::default(), upper());
        let server = build(Server::builder(), &sip).build();
        let server = server.unwrap_or_else(|error| panic!("{error}"));
        drop(within);
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

    /// A layer with listeners on loopback for all five transports, which have their names: `udp`, `tcp`,
    /// `tls`, `ws`, `wss`.
    pub(crate) fn all(upper: impl Upper, leaf: &Leaf) -> Self {
        let sip_alone = |config: &mut wharf::ListenerConfig| {
            config.websocket.subprotocols = vec!["sip".to_owned()];
        };
        let pair = || (leaf.cert.clone(), leaf.key.clone());
        Self::start(upper, |server, sip| {
            let ((cert, key), (again, again_key)) = (pair(), pair());
            let ws = Ws::bind(LOOPBACK).with(sip_alone);
            let wss = Wss::bind(LOOPBACK).cert(again, again_key).with(sip_alone);
            server
                .listen_with("udp", Udp::bind(LOOPBACK), sip.datagrams())
                .listen_with("tcp", Tcp::bind(LOOPBACK), sip.streams())
                .listen_with("tls", Tls::bind(LOOPBACK).cert(cert, key), sip.streams())
                .listen_with("ws", ws, sip.websockets())
                .listen_with("wss", wss, sip.websockets())
        })
    }

    /// A flow to `to`: over UDP from the listener's socket, otherwise over a connection dialled for it. Over TLS
    /// it has to prove `domain`, or its address where there is none, by a certificate of `ca`.
    #[track_caller]
    pub(crate) fn dial(
        &self,
        transport: Transport,
        to: SocketAddr,
        domain: Option<&str>,
        ca: &Path,
    ) -> FlowRef {
        if transport == Transport::Udp {
            // The worker's thread takes its socket when it starts.
            until("socket", || self.sip.datagrams_to(to).is_some());
            return self.sip.datagrams_to(to).expect("a socket");
        }
        let mut options = DialOptions::default();
        if transport.is_secure() {
            options.client.tls.ca = vec![Pem::File(ca.to_owned())];
        }
        let dialer = Dialer::new(self.sip.clone(), options).expect("a dialer");
        let key = PoolKey {
            transport,
            address: to,
            domain: domain.map(|domain| domain.parse().expect("a domain")),
            local: None,
        };
        let dialled = self.runtime.block_on(dialer.dial(&key));
        dialled.expect("a connection")
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

/// Waits for what nobody tells, such as a counter.
#[track_caller]
pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    until_within(SOON, what, done);
}

/// The same for what takes its time.
#[track_caller]
pub(crate) fn until_within(deadline: Duration, what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < deadline, "no {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

fn runtime() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}
