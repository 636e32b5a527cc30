//! From a target to what its handshakes go over.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net as unix;
use std::path::Path;

use tokio::net::{TcpSocket, UnixStream};

use super::{AttemptError, ConnectError, Inner, Place, Rules, Site, Target, dial, proxy};
use crate::SctpSocket;
use crate::config::{Address, SocketOptions, Transport};
use crate::datagrams::{Connected, ConnectedKind};
#[cfg(feature = "dtls")]
use crate::dtls;
use crate::path::Endpoint;
use crate::proxy::Transport as Shape;
#[cfg(feature = "sctp")]
use crate::sctp;
use crate::sockets::{self, BindError, PeerCredentials};
use crate::wire::Socket;

/// What was reached. Over datagrams the protocols make their handshakes on the way: before there is
/// an answer, nobody knows whether anybody is there.
pub(super) enum Reached {
    Socket(Socket),
    Datagrams(Connected),
    #[cfg(feature = "dtls")]
    Dtls(Box<dtls::Dialled>),
    #[cfg(feature = "sctp")]
    Sctp(sctp::Dialled),
}

impl Reached {
    /// Our end. A socket that is reset already has none; its first use tells.
    pub(super) fn local(&self) -> Endpoint {
        match self {
            Self::Socket(socket) => socket.local().unwrap_or(Endpoint::Unix(None)),
            Self::Datagrams(socket) => socket.local().clone(),
            #[cfg(feature = "dtls")]
            Self::Dtls(dialled) => dialled.local().clone(),
            #[cfg(feature = "sctp")]
            Self::Sctp(dialled) => dialled.local().clone(),
        }
    }

    pub(super) fn credentials(&self) -> Option<PeerCredentials> {
        match self {
            Self::Socket(socket) => socket.credentials(),
            _ => None,
        }
    }

    pub(super) fn descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Socket(socket) => socket.descriptor(),
            _ => None,
        }
    }
}

impl Inner {
    /// Reaches a place: of several addresses the first that answers.
    pub(super) async fn reach(
        &self,
        target: &Target,
        site: &Site,
        rules: &Rules,
    ) -> Result<(Reached, Endpoint), ConnectError> {
        match &site.place {
            Place::Host { .. } | Place::Address(_) => {}
            Place::Unix(path) => return self.reach_unix(target, site, rules, path).await,
            Place::Abstract(name) => {
                let path = format!("\0{name}");
                return self.reach_unix(target, site, rules, path.as_ref()).await;
            }
        }
        let (options, ways) = (&rules.options, &self.ways);
        let host = dial::Host {
            place: &site.place,
            options,
            ways,
            tries: &self.tries,
        };
        match target.transport {
            Transport::Udp => {
                host.reach(|address| async move {
                    self.datagrams_to(address, rules).map(Reached::Datagrams)
                })
                .await
            }
            #[cfg(feature = "dtls")]
            Transport::Dtls => {
                let context = rules.dtls().await?;
                let asked = options.tls.server_name.as_ref();
                let server = asked.unwrap_or(&site.server_name);
                host.reach(|address| async move {
                    let socket = self.datagrams_to(address, rules)?;
                    let dialled = dtls::dial(socket, context, server).await?;
                    Ok(Reached::Dtls(Box::new(dialled)))
                })
                .await
            }
            Transport::Sctp if sockets::sctp_in_kernel(options.sctp.via) => {
                host.reach(|address| async move {
                    let (local, socket) = (options.local, &options.socket);
                    let socket = sockets::connect_sctp(address, local, socket, &options.sctp)
                        .map_err(AttemptError::Socket)?;
                    let connecting = TcpSocket::from_std_stream(socket.into()).connect(address);
                    let connected = connecting.await.and_then(SctpSocket::new);
                    let socket = connected.map_err(AttemptError::Io)?;
                    Ok(Reached::Socket(Socket::Sctp(socket)))
                })
                .await
            }
            #[cfg(feature = "sctp")]
            Transport::Sctp => {
                host.reach(|address| async move {
                    let socket = udp_to(address, rules)?;
                    let asked = (socket, address, &options.sctp);
                    let dialled = self.sctp.dial(asked, &self.owner).await;
                    Ok(Reached::Sctp(dialled?))
                })
                .await
            }
            _ => {
                host.reach(|address| async move {
                    ways.connect(address, options).await.map(Reached::Socket)
                })
                .await
            }
        }
    }

    /// A socket of datagrams to an address, which may be silent.
    fn datagrams_to(&self, to: SocketAddr, rules: &Rules) -> Result<Connected, AttemptError> {
        let kind = ConnectedKind::Udp(udp_to(to, rules)?, to);
        self.connected(kind, rules)
    }

    fn connected(&self, kind: ConnectedKind, rules: &Rules) -> Result<Connected, AttemptError> {
        let longest = rules.options.max_datagram;
        let connected = Connected::new(kind, longest, self.owner.clone());
        let mut connected = connected.map_err(AttemptError::Io)?;
        if let Some(send) = &rules.options.proxy {
            let ends = (connected.local(), connected.peer());
            connected.begin_with(proxy::encode(send, Shape::Datagram, ends)?);
        }
        Ok(connected)
    }

    async fn reach_unix(
        &self,
        target: &Target,
        site: &Site,
        rules: &Rules,
        path: &Path,
    ) -> Result<(Reached, Endpoint), ConnectError> {
        let options = &rules.options;
        let connecting = async {
            if target.transport != Transport::Unixgram {
                return stream_to(path, &options.socket).await.map(Reached::Socket);
            }
            let socket = sockets::named_unixgram(&options.socket).map_err(AttemptError::Socket)?;
            let connect = || {
                let to = unix_address(path)?;
                socket.connect_addr(&to)?;
                Ok(ConnectedKind::Unix(socket, Endpoint::from_unix(&to)))
            };
            let kind = connect().map_err(AttemptError::Io)?;
            self.connected(kind, rules).map(Reached::Datagrams)
        };
        dial::only(&site.place, connecting, options, &self.tries).await
    }
}

/// A UDP socket that is connected, and hears of ICMP errors.
fn udp_to(to: SocketAddr, rules: &Rules) -> Result<wharf_udp::Socket, AttemptError> {
    let options = &rules.options;
    let socket = sockets::connect_udp(to, options.local, &options.socket);
    let socket = socket.map_err(AttemptError::Socket)?;
    let hears = wharf_udp::SocketOptions {
        errors: true,
        ..wharf_udp::SocketOptions::default()
    };
    let connected = socket.connect(&to.into());
    let adopted = connected.and_then(|()| wharf_udp::Socket::adopt(socket.into(), &hears));
    adopted.map_err(AttemptError::Io)
}

fn unix_address(path: &Path) -> io::Result<unix::SocketAddr> {
    match path.as_os_str().as_bytes() {
        [0, name @ ..] => unix::SocketAddr::from_abstract_name(name),
        _ => unix::SocketAddr::from_pathname(path),
    }
}

async fn stream_to(path: &Path, options: &SocketOptions) -> Result<Socket, AttemptError> {
    let stream = UnixStream::connect(path).await.map_err(AttemptError::Io)?;
    let socket = Socket::Unix(stream);
    match socket.apply(&SocketOptions::default(), options) {
        Ok(()) => Ok(socket),
        Err(source) => {
            let address = Address::Path(path.into());
            Err(AttemptError::Socket(BindError::Address { address, source }))
        }
    }
}
