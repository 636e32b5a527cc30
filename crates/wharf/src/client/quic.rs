//! QUIC: one connection for each server, over which all streams to it go.

use super::check::refused;
use super::dial::Host;
use super::establish::everywhere;
use super::{Client, ConnectError, Inner, Site, Target};
use crate::config::{Problem, Problems, Transport};
use crate::quic::Wanted;
use crate::reason::Refusal;
use crate::{Messages, QuicConnection, Stream};

impl Client {
    /// The QUIC connection to a server (`quic://host:port`): the one that is there, or a new one.
    /// [`connect`](Self::connect) opens a stream on it, and
    /// [`connect_messages`](Self::connect_messages) has its datagrams. It ends when nobody has it any
    /// more: not this client, which keeps it for the next, nor a user. In QUIC connecting and the
    /// handshake are one, in `timeouts.connect`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_quic(&self, url: &str) -> Result<QuicConnection, ConnectError> {
        let target = Target::parse(url)?;
        if target.transport == Transport::Quic {
            return self.0.quic(&target).await;
        }
        let problem = Problem::new("url", "expected a URL with the scheme quic");
        Err(Problems(vec![problem.given(target.transport.label())]).into())
    }
}

impl Inner {
    pub(super) async fn quic_stream(&self, target: &Target) -> Result<Stream, ConnectError> {
        let connection = self.quic(target).await?;
        connection.open_stream().await.map_err(ConnectError::Io)
    }

    pub(super) async fn quic_messages(&self, target: &Target) -> Result<Messages, ConnectError> {
        Ok(self.quic(target).await?.messages())
    }

    async fn quic(&self, target: &Target) -> Result<QuicConnection, ConnectError> {
        refused(Transport::Quic, &self.rules.load().options)?;
        let mut errors = Vec::new();
        for site in &target.sites {
            match Box::pin(self.quic_at(site)).await {
                Err(error) if error.reason().is_some() => errors.push(error),
                result => return result,
            }
        }
        Err(everywhere(errors))
    }

    async fn quic_at(&self, site: &Site) -> Result<QuicConnection, ConnectError> {
        if self.owner.draining.is_cancelled() {
            return Err(ConnectError::Draining);
        }
        let rules = self.rules.load_full();
        let options = &rules.options;
        let wanted = Wanted {
            server_name: options
                .tls
                .server_name
                .as_ref()
                .unwrap_or(&site.server_name),
            tls: &rules.tls().await?.config(),
            quic: &options.quic,
            socket: &options.socket,
            local: options.local,
        };
        let host = Host {
            place: &site.place,
            options,
            ways: &self.ways,
            tries: &self.tries,
        };
        let dialled = async {
            let connect = |address| self.quic.dial(address, &wanted);
            host.reach(connect).await.map(|(connection, _)| connection)
        };
        let key = site.place.to_string();
        let connection = self
            .quic
            .connection(&key, &self.owner, &wanted, dialled)
            .await;
        connection.inspect_err(|error| {
            let reason = error.reason().unwrap_or(Refusal::Unreachable);
            self.owner.counters.refused(reason);
        })
    }
}
