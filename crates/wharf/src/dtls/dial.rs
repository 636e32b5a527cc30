//! The client's side of a handshake.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::time::Instant;
use wharf_dtls::{ClientContext, ServerName, Session};

use super::link::DtlsLink;
use crate::admission::{Ready, tell_handshake};
use crate::client::AttemptError;
use crate::connection::{Connection, Hold};
use crate::datagrams::{Connected, End};
use crate::path::Endpoint;
use crate::timer::Timer;
use crate::tls::TlsInfo;
use crate::wire::Packets;

/// A session that is open, and its socket.
pub(crate) struct Dialled {
    socket: Connected,
    session: Session,
    info: Option<TlsInfo>,
}

/// Makes the handshake with the server of this name, whose certificate must be for it. There is no
/// deadline: put one around it. Lost flights are sent again meanwhile.
///
/// # Errors
/// Nobody receives there, or the handshake fails: the server has been told why.
pub(crate) async fn dial(
    socket: Connected,
    context: &ClientContext,
    server: &str,
) -> Result<Dialled, AttemptError> {
    let name = ServerName::from(server);
    let session = Session::connect(context, &name, now()).map_err(AttemptError::Dtls)?;
    let mut dialled = Dialled {
        socket,
        session,
        info: None,
    };
    let mut timer = Timer::default();
    poll_fn(|cx| dialled.poll_open(cx, &mut timer)).await?;
    // A record proves itself, and a forged refusal must not end what is proven.
    dialled.socket.distrust_refusals();
    let info = dialled.session.info();
    dialled.info = info.and_then(|info| TlsInfo::of_dtls(&info).ok());
    if let Some(info) = &mut dialled.info {
        info.server_name = Some(server.into());
    }
    Ok(dialled)
}

impl Dialled {
    pub(crate) fn local(&self) -> &Endpoint {
        self.socket.local()
    }

    /// The session as the messages of a connection.
    pub(crate) fn adopt(self, hold: Hold) -> Ready {
        let connection = Connection::new(hold.shared().clone());
        tell_handshake(&connection, "dtls", "ok");
        if let Some(info) = self.info {
            let _ = hold.shared().details().tls.set(Box::new(info));
        }
        let packets = Packets::new(End::Connected(self.socket), hold);
        let mut link = DtlsLink::new(packets, self.session, None);
        link.established();
        Ready::Messages(Box::new(link))
    }

    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        timer: &mut Timer,
    ) -> Poll<Result<(), AttemptError>> {
        loop {
            while let Some(datagram) = self.session.transmit() {
                // What the kernel cannot send is lost, as datagrams may be.
                let _ = ready!(self.socket.poll_send(cx, datagram));
                self.session.sent();
            }
            if self.session.is_open() {
                return Poll::Ready(Ok(()));
            }
            if let Err(failure) = self.session.recv(&mut BytesMut::new()) {
                return Poll::Ready(Err(AttemptError::Dtls(failure)));
            }
            match self.socket.poll_recv(cx) {
                Poll::Ready(Ok(datagram)) => self.session.handle_datagram(now(), datagram),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(AttemptError::Io(error))),
                Poll::Pending => {
                    let deadline = self.session.deadline().map(Instant::from_std);
                    ready!(timer.poll(cx, deadline));
                    self.session.handle_timeout(now());
                }
            }
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
