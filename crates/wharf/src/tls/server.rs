//! TLS of a listener.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use super::error::{TlsError, TlsMatter, TlsWarning};
use super::failure::HandshakeError;
use super::hello::Hello;
use super::load::Stamp;
use super::state::{CertificateInfo, State};
use crate::config::{DtlsOptions, TlsOptions};

/// TLS for the connections of one listener, with certificates that change live.
///
/// It can be given other options, but it can't be turned off: there is no state without a
/// certificate, and options without one are refused.
///
/// A handshake has two steps. [`accept`](Self::accept) waits for the ClientHello, and the
/// [`Hello`] is then led on or refused. Neither step has a deadline of its own: put one around
/// both, and dropping the future gives everything back.
///
/// An idle connection costs about 9 KiB of user memory (`tests/tls_memory.rs` measures it). Nothing
/// is kept for a session that has ended.
///
/// ```no_run
/// # use wharf::config::TlsOptions;
/// # use wharf::tls::{AlertReason, HandshakeError, ServerTls, TlsInfo};
/// # async fn one(options: TlsOptions, tcp: tokio::net::TcpStream)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// let tls = ServerTls::new(&options)?;
/// let hello = tls.accept(tcp).await?;
/// if hello.server_name() == Some("closed.example") {
///     hello.refuse(AlertReason::AccessDenied).await;
/// } else {
///     let stream = hello.proceed().await?;
///     println!("{:?}", TlsInfo::of_server(stream.get_ref().1)?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ServerTls {
    state: ArcSwap<State>,
    /// Held by whoever makes the next state.
    writing: Mutex<()>,
    /// Told of each reload, for whoever watches the files.
    pub(super) replaced: Notify,
}

impl ServerTls {
    /// Reads every file and checks everything. All problems are reported at once. Reads files
    /// synchronously.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        Self::with_dtls(options, None)
    }

    /// The same for sessions of DTLS, whose own options are `dtls`, without a listener of this library:
    /// what they are made from is [`dtls`](Self::dtls).
    #[cfg(feature = "dtls")]
    pub fn for_dtls(options: &TlsOptions, dtls: &DtlsOptions) -> Result<Self, TlsError> {
        Self::with_dtls(options, Some(dtls))
    }

    /// The same, also for DTLS where `dtls` are its own options.
    pub(crate) fn with_dtls(
        options: &TlsOptions,
        dtls: Option<&DtlsOptions>,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            state: ArcSwap::from_pointee(State::build(options, dtls)?),
            writing: Mutex::new(()),
            replaced: Notify::new(),
        })
    }

    /// Waits for the ClientHello of a connection. What is wrong with it is answered by an alert,
    /// where TLS has one. At most [`MAX_HELLO`](super::MAX_HELLO) bytes are kept.
    pub async fn accept<IO>(&self, io: IO) -> Result<Hello<IO>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        Hello::read(io, self.state.load_full()).await
    }

    /// The configuration in force, for a protocol that brings its own records.
    #[cfg(feature = "quic")]
    pub(crate) fn config(&self) -> Arc<rustls::ServerConfig> {
        self.state.load().config.clone()
    }

    /// What sessions of DTLS are made from now on, where it is spoken.
    #[cfg(feature = "dtls")]
    pub fn dtls(&self) -> Option<wharf_dtls::ServerContext> {
        let state = self.state.load();
        state.dtls.as_ref().map(|(_, context)| context.clone())
    }

    /// The options in force.
    pub fn options(&self) -> TlsOptions {
        self.state.load().options.clone()
    }

    /// The certificates in force, the default one first.
    pub fn certificates(&self) -> Vec<CertificateInfo> {
        self.state.load().certificates.clone()
    }

    /// When the first of the certificates expires.
    pub fn earliest_expiry(&self) -> SystemTime {
        let state = self.state.load();
        let expiries = state.certificates.iter().map(|each| each.not_after);
        expiries.min().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// What is in force and should be looked at, at the time `now`.
    pub fn warnings(&self, now: SystemTime) -> Vec<TlsWarning> {
        let matter = |info: &CertificateInfo| {
            if now > info.not_after {
                Some(TlsMatter::Expired)
            } else if now < info.not_before {
                Some(TlsMatter::NotYetValid)
            } else {
                None
            }
        };
        let state = self.state.load();
        let matters = state.certificates.iter().map(matter).enumerate();
        matters
            .filter_map(|(index, matter)| {
                Some(TlsWarning {
                    key: format!("certificates[{index}].cert"),
                    matter: matter?,
                })
            })
            .collect()
    }

    /// Puts new options in force, for new connections; those that stand are not touched. Files are
    /// read again, synchronously, even if the options are the same. On an error all that was in
    /// force remains so.
    pub fn reload(&self, options: &TlsOptions) -> Result<Reloaded, TlsError> {
        self.reload_with_dtls(options, None)
    }

    /// The same for DTLS.
    pub(crate) fn reload_with_dtls(
        &self,
        options: &TlsOptions,
        dtls: Option<&DtlsOptions>,
    ) -> Result<Reloaded, TlsError> {
        let writing = self.lock();
        let reloaded = self.replace(options, dtls, &writing)?;
        self.replaced.notify_one();
        Ok(reloaded)
    }

    /// Reads the files of the options in force again, if one has changed since.
    pub(super) fn refresh(&self) -> Option<Result<Reloaded, TlsError>> {
        let writing = self.lock();
        let state = self.state.load_full();
        let same = |(path, stamp): (_, &Option<Stamp>)| Stamp::of(path) == *stamp;
        if state
            .stamps
            .iter()
            .map(|(path, s)| (path.as_path(), s))
            .all(same)
        {
            return None;
        }
        Some(self.replace(&state.options, state.dtls_options(), &writing))
    }

    fn replace(
        &self,
        options: &TlsOptions,
        dtls: Option<&DtlsOptions>,
        _: &MutexGuard<'_, ()>,
    ) -> Result<Reloaded, TlsError> {
        let new = State::build(options, dtls)?;
        let old = self.state.load();
        let changed = new
            .certificates
            .iter()
            .filter(|info| !old.certificates.contains(info))
            .cloned()
            .collect();
        self.state.store(Arc::new(new));
        Ok(Reloaded {
            changed,
            earliest_expiry: self.earliest_expiry(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reload has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Certificates that were not in force before.
    pub changed: Vec<CertificateInfo>,
    /// When the first of all that are in force now expires.
    pub earliest_expiry: SystemTime,
}
