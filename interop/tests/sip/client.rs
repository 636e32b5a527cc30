//! An element that sends through a manager and hears the answers, over UDP unless it is to be otherwise.

use std::net::{Ipv4Addr, SocketAddr};

use wharf::Udp;
use wharf_sip_transport::{DialOptions, Dialer, Manager, ManagerOptions, Resolver};

use crate::responder::{Record, Responder};
use crate::served::{LOOPBACK, Served, until};

pub(crate) struct Client {
    pub(crate) manager: Manager,
    pub(crate) served: Served,
    pub(crate) record: Record,
}

impl Client {
    /// One that finds its servers so, ready to send.
    pub(crate) fn start(resolver: impl Resolver) -> Self {
        let manager = Manager::new(ManagerOptions::default(), resolver);
        let (responder, record) = Responder::new();
        let served = Served::start(manager.watch(responder), |server, sip| {
            server.listen_with("udp", Udp::bind(LOOPBACK), sip.datagrams())
        });
        let dialer = Dialer::new(served.sip.clone(), DialOptions::default()).expect("a dialer");
        manager.begin(served.sip.clone(), dialer);
        let anybody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        until("socket", || served.sip.datagrams_to(anybody).is_some());
        Self {
            manager,
            served,
            record,
        }
    }
}
