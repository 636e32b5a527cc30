//! The options in force, and changing them while connections are there.

use std::sync::PoisonError;

use tokio::sync::OnceCell;
use wharf_policy::access::{AccessRules, IdentityRules};
use wharf_policy::first_bytes::Protocols;

use super::{Client, ClientOptions, check};
use crate::config::{Problem, Problems};
use crate::events::Event;
use crate::owner::Live;
#[cfg(feature = "dtls")]
use crate::tls::client_context;
use crate::tls::{ClientTls, ClientTlsOptions, TlsError};

/// The options and what was read for them. Replaced as a whole.
pub(super) struct Rules {
    pub(super) options: ClientOptions,
    tls: OnceCell<ClientTls>,
    #[cfg(feature = "dtls")]
    dtls: OnceCell<wharf_dtls::ClientContext>,
}

impl Rules {
    /// Checks the options, and reads the files that those of TLS name. The authorities of the system
    /// are read when the first secure connection needs them.
    pub(super) fn new(name: &str, options: ClientOptions) -> Result<Self, Problems> {
        let mut problems = check::all(name, &options);
        let mut tls = OnceCell::new();
        if options.tls != ClientTlsOptions::default() {
            match ClientTls::new(&options.tls) {
                Ok(read) => tls = OnceCell::new_with(Some(read)),
                Err(error) => problems.push(Problem::new("tls", error.to_string())),
            }
        }
        Problems(problems).into_result()?;
        Ok(Self {
            options,
            tls,
            #[cfg(feature = "dtls")]
            dtls: OnceCell::new(),
        })
    }

    /// TLS, made when it is first needed.
    pub(super) async fn tls(&self) -> Result<&ClientTls, TlsError> {
        self.tls
            .get_or_try_init(|| async { ClientTls::new(&self.options.tls) })
            .await
    }

    /// What sessions of DTLS are made from, read when the first is dialled.
    #[cfg(feature = "dtls")]
    pub(super) async fn dtls(&self) -> Result<&wharf_dtls::ClientContext, TlsError> {
        let (tls, dtls) = (&self.options.tls, &self.options.dtls);
        self.dtls
            .get_or_try_init(|| async { client_context(tls, dtls) })
            .await
    }

    /// What connections obey, in the form in which they look at it.
    pub(super) fn live(&self) -> Live {
        Live {
            config: self.options.rules(),
            access: AccessRules::default(),
            identities: IdentityRules::default(),
            wanted: Protocols::default(),
            tls: None,
        }
    }
}

impl Client {
    /// The options in force.
    pub fn options(&self) -> ClientOptions {
        self.0.rules.load().options.clone()
    }

    /// Changes the options. Rates, the timeouts of reading and writing, what may wait in memory and
    /// the minimum rate hold at once for connections that are there; all else for those that are
    /// made from now on. The files that the TLS options name are read again, even if nothing else
    /// has changed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use wharf::Client;
    /// let client = Client::builder().build()?;
    /// client.change(|options| options.timeouts.read_idle = Some(Duration::from_secs(30)))?;
    /// assert!(client.change(|options| options.max_addresses = 0).is_err());
    /// assert_eq!(client.options().max_addresses, 16);
    /// # Ok::<(), wharf::config::Problems>(())
    /// ```
    ///
    /// `change` must not call this itself.
    ///
    /// # Errors
    /// All problems at once; then the options stay as they were.
    pub fn change(&self, change: impl FnOnce(&mut ClientOptions)) -> Result<(), Problems> {
        // One after another, so that none is lost.
        let changing = self.0.changing.lock();
        let _changing = changing.unwrap_or_else(PoisonError::into_inner);
        let mut options = self.options();
        change(&mut options);
        let rules = Rules::new(self.name(), options)?;
        let owner = &self.0.owner;
        owner.memory.set_limit(rules.options.memory);
        owner.set_live(rules.live());
        self.0.rules.store(rules.into());
        owner.events.emit(|| Event::Changed {
            listener: owner.name.clone(),
        });
        Ok(())
    }
}
