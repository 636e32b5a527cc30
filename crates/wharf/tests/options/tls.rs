//! `tls.*`, through handshakes with a server in memory.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::client::TlsStream;
use wharf::config::{Certificate, ClientAuth, Pem, Resumption, TlsOptions, TlsVersion, Transport};
use wharf::testkit::{self, Authority, Connector, Issued, Leaf, MemoryStream};
use wharf::tls::{ClientTls, ClientTlsOptions};
use wharf::{BoxError, Handle, Refusal, Server, Stream};

use super::{IT, connect, refused, settle, start};

/// A server in memory with a certificate for `a.example`.
pub(super) struct Site {
    pub(super) ca: Authority,
    pub(super) leaf: Issued,
    pub(super) handle: Handle,
    pub(super) connector: Connector,
}

/// Tells what was agreed on, then echoes.
async fn tell(mut stream: Stream) -> Result<(), BoxError> {
    let told = {
        let tls = stream.connection().tls().unwrap();
        let alpn = tls.alpn.as_deref().map(String::from_utf8_lossy);
        let alpn = alpn.as_deref().unwrap_or("none").to_owned();
        let peer = tls
            .peer
            .as_ref()
            .map_or_else(|| "nobody".to_owned(), |peer| format!("{peer:?}"));
        format!("{alpn} {:?} {} {peer}\n", tls.version, tls.resumed)
    };
    stream.write_all(told.as_bytes()).await?;
    super::echo(stream).await
}

impl Site {
    pub(super) fn new(set: impl FnOnce(&mut TlsOptions, &Authority)) -> Self {
        let ca = Authority::new("ca");
        let leaf = ca.issue(&Leaf::named("a", &["a.example"]));
        let (listen, connector) = testkit::memory(Transport::Tls);
        let listen = listen.with(|config| {
            config.tls.certificates.push(leaf.certificate());
            set(&mut config.tls, &ca);
        });
        let handle = start(Server::builder().listen(IT, listen, tell));
        Self {
            ca,
            leaf,
            handle,
            connector,
        }
    }

    pub(super) fn change(&self, set: impl FnOnce(&mut TlsOptions)) {
        self.handle
            .change(IT, |config| set(&mut config.tls))
            .unwrap();
    }

    pub(super) fn client(&self, set: impl FnOnce(&mut ClientTlsOptions)) -> ClientTls {
        let mut options = ClientTlsOptions {
            ca: vec![self.ca.pem()],
            ..ClientTlsOptions::default()
        };
        set(&mut options);
        ClientTls::new(&options).unwrap()
    }

    /// Connects, and says what the server tells of it; nothing where it refuses.
    pub(super) async fn join(&self, client: &ClientTls, name: &str) -> Option<Joined> {
        let near = connect(&self.connector, "192.0.2.1").await;
        let mut stream = client.connect(near, name).await.ok()?;
        let mut told = Vec::new();
        loop {
            // With TLS 1.3 the server may refuse our certificate only now.
            match stream.read_u8().await.ok()? {
                b'\n' => break,
                byte => told.push(byte),
            }
        }
        Some(Joined {
            shown: stream.get_ref().1.peer_certificates().unwrap()[0].to_vec(),
            told: String::from_utf8(told).unwrap(),
            stream,
        })
    }

    async fn joins(&self, set: impl FnOnce(&mut ClientTlsOptions)) -> Option<Joined> {
        self.join(&self.client(set), "a.example").await
    }

    /// How many handshakes the server has refused.
    async fn refused(&self) -> u64 {
        settle().await;
        refused(&self.handle, Refusal::Tls)
    }
}

/// A connection that the server has taken.
pub(super) struct Joined {
    /// The certificate that it has shown.
    pub(super) shown: Vec<u8>,
    /// Protocol, version, whether it was resumed, and who the client is.
    pub(super) told: String,
    pub(super) stream: TlsStream<MemoryStream>,
}

impl Joined {
    /// A byte there and back.
    pub(super) async fn echoes(&mut self) {
        self.stream.write_all(b"?").await.unwrap();
        assert_eq!(self.stream.read_u8().await.unwrap(), b'?');
    }
}

#[tokio::test(start_paused = true)]
async fn certificates() {
    let site = Site::new(|_, _| ());
    let other = site.ca.issue(&Leaf::named("b", &["b.example"]));
    let client = site.client(|_| ());
    assert_eq!(
        site.join(&client, "a.example").await.unwrap().shown,
        site.leaf.der
    );
    assert!(site.join(&client, "b.example").await.is_none());
    // Live; each server name has its own.
    site.change(|tls| tls.certificates.push(other.certificate()));
    assert_eq!(
        site.join(&client, "b.example").await.unwrap().shown,
        other.der
    );
    assert_eq!(
        site.join(&client, "a.example").await.unwrap().shown,
        site.leaf.der
    );
}

#[tokio::test(start_paused = true)]
async fn strict_sni() {
    let site = Site::new(|tls, _| tls.strict_sni = true);
    let client = site.client(|_| ());
    assert!(site.join(&client, "b.example").await.is_none());
    assert_eq!(site.refused().await, 1);
    assert!(site.join(&client, "a.example").await.is_some());
    // Without it the default one is shown, and it is the client who refuses it: the server sees an
    // alert, and not a name that it does not know.
    site.change(|tls| tls.strict_sni = false);
    let near = connect(&site.connector, "192.0.2.1").await;
    let error = client.connect(near, "b.example").await.unwrap_err();
    assert_eq!(error.label(), "server-certificate", "{error}");
}

#[tokio::test(start_paused = true)]
async fn alpn() {
    let site = Site::new(|tls, _| tls.alpn = vec!["b".to_owned(), "a".to_owned()]);
    let offer =
        |options: &mut ClientTlsOptions| options.alpn = vec!["a".to_owned(), "b".to_owned()];
    // The server's preference.
    assert!(site.joins(offer).await.unwrap().told.starts_with("b "));
    site.change(|tls| tls.alpn = vec!["a".to_owned()]);
    assert!(site.joins(offer).await.unwrap().told.starts_with("a "));
    site.change(|tls| tls.alpn = Vec::new());
    assert!(site.joins(offer).await.unwrap().told.starts_with("none "));
}

#[tokio::test(start_paused = true)]
async fn alpn_required() {
    let site = Site::new(|tls, _| tls.alpn = vec!["a".to_owned()]);
    let offer = |options: &mut ClientTlsOptions| options.alpn = vec!["x".to_owned()];
    assert!(site.joins(offer).await.is_none());
    assert_eq!(site.refused().await, 1);
    assert!(site.joins(|_| ()).await.is_some());
    site.change(|tls| tls.alpn_required = false);
    assert!(site.joins(offer).await.unwrap().told.starts_with("none "));
}

/// What a client that speaks nothing newer than TLS 1.2 makes of the server.
async fn tls_1_2(site: &Site) -> bool {
    let Pem::Inline { pem } = site.ca.pem() else {
        unreachable!("the authority has no file")
    };
    let ca = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let near = connect(&site.connector, "192.0.2.1").await;
    let name = rustls::pki_types::ServerName::try_from("a.example").unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    connector.connect(name, near).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn min_version() {
    let site = Site::new(|tls, _| tls.min_version = TlsVersion::V1_3);
    assert!(!tls_1_2(&site).await);
    assert_eq!(site.refused().await, 1);
    assert!(site.joins(|_| ()).await.unwrap().told.contains(" V1_3 "));
    site.change(|tls| tls.min_version = TlsVersion::V1_2);
    assert!(tls_1_2(&site).await);
}

#[tokio::test(start_paused = true)]
async fn client_auth() {
    let site = Site::new(|tls, ca| {
        tls.client_auth = ClientAuth::Required;
        tls.client_ca = vec![ca.pem()];
    });
    let own = site.ca.issue(&Leaf::named("the client", &["c.example"]));
    let showing = || Some(own.certificate());
    assert!(site.joins(|_| ()).await.is_none());
    assert_eq!(site.refused().await, 1);
    let joined = site
        .joins(|options| options.certificate = showing())
        .await
        .unwrap();
    assert!(joined.told.contains("the client"), "{}", joined.told);

    site.change(|tls| tls.client_auth = ClientAuth::Optional);
    assert!(site.joins(|_| ()).await.unwrap().told.ends_with(" nobody"));
    let joined = site
        .joins(|options| options.certificate = showing())
        .await
        .unwrap();
    assert!(joined.told.contains("the client"), "{}", joined.told);
    let stranger = Authority::new("other").issue(&Leaf::named("the client", &["c.example"]));
    let shown = Some(stranger.certificate());
    assert!(
        site.joins(|options| options.certificate = shown)
            .await
            .is_none()
    );

    site.change(|tls| {
        tls.client_auth = ClientAuth::Off;
        tls.client_ca.clear();
    });
    let joined = site
        .joins(|options| options.certificate = showing())
        .await
        .unwrap();
    assert!(joined.told.ends_with(" nobody"), "{}", joined.told);
}

#[tokio::test(start_paused = true)]
async fn client_ca() {
    let others = Authority::new("others");
    let site = Site::new(|tls, _| {
        tls.client_auth = ClientAuth::Required;
        tls.client_ca = vec![others.pem()];
    });
    let from_ca = Some(
        site.ca
            .issue(&Leaf::named("one", &["c.example"]))
            .certificate(),
    );
    let from_others = Some(
        others
            .issue(&Leaf::named("two", &["c.example"]))
            .certificate(),
    );
    let shows = |certificate: &Option<Certificate>| {
        let certificate = certificate.clone();
        move |options: &mut ClientTlsOptions| options.certificate = certificate
    };
    assert!(site.joins(shows(&from_ca)).await.is_none());
    assert!(site.joins(shows(&from_others)).await.is_some());
    site.change(|tls| tls.client_ca = vec![site.ca.pem()]);
    assert!(site.joins(shows(&from_ca)).await.is_some());
    assert!(site.joins(shows(&from_others)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn client_purposes() {
    let sip = [1, 3, 6, 1, 5, 5, 7, 3, 20];
    let site = Site::new(|tls, ca| {
        tls.client_auth = ClientAuth::Required;
        tls.client_ca = vec![ca.pem()];
    });
    let leaf = Leaf::named("the client", &["c.example"]).purpose(&sip);
    let shown = site.ca.issue(&leaf).certificate();
    let shows = |options: &mut ClientTlsOptions| options.certificate = Some(shown.clone());
    assert!(site.joins(shows).await.is_none());
    site.change(|tls| tls.client_purposes = vec!["1.3.6.1.5.5.7.3.20".to_owned()]);
    assert!(site.joins(shows).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn resumption() {
    for (resumption, resumes) in [(Resumption::Tickets, true), (Resumption::Off, false)] {
        let site = Site::new(|tls, _| tls.resumption = resumption);
        let client = site.client(|_| ());
        let first = site.join(&client, "a.example").await.unwrap();
        assert!(first.told.contains(" false "));
        let second = site.join(&client, "a.example").await.unwrap();
        assert_eq!(second.told.contains(" true "), resumes, "{}", second.told);
    }
}

/// A certificate and its key in files, removed at the end.
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn new(name: &str, issued: &Issued) -> Self {
        let path =
            std::env::temp_dir().join(format!("wharf-options-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let files = Self(path);
        files.write("cert.pem", &issued.cert);
        files.write("key.pem", &issued.key);
        files
    }

    /// A new file under the name, as careful programs write it.
    pub(super) fn write(&self, name: &str, text: &str) {
        let new = self.0.join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.0.join(name)).unwrap();
    }

    pub(super) fn certificate(&self) -> Certificate {
        Certificate {
            cert: Pem::File(self.0.join("cert.pem")),
            key: Pem::File(self.0.join("key.pem")),
            names: Vec::new(),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(start_paused = true)]
async fn watch() {
    let mut files = None;
    let site = Site::new(|tls, ca| {
        let first = ca.issue(&Leaf::named("a", &["a.example"]));
        let made = files.insert(Files::new("watch", &first));
        tls.certificates = vec![made.certificate()];
        tls.watch = None;
    });
    let files = files.unwrap();
    let client = site.client(|_| ());
    let old = site.join(&client, "a.example").await.unwrap().shown;
    let new = site.ca.issue(&Leaf::named("a", &["a.example"]));
    files.write("cert.pem", &new.cert);
    files.write("key.pem", &new.key);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(site.join(&client, "a.example").await.unwrap().shown, old);

    // Setting the option reads the files. From then on it is a change of theirs that does.
    site.change(|tls| tls.watch = Some(Duration::from_secs(20)));
    let newer = site.ca.issue(&Leaf::named("a", &["a.example"]));
    let mut events = site.handle.events();
    let began = tokio::time::Instant::now();
    files.write("cert.pem", &newer.cert);
    files.write("key.pem", &newer.key);
    super::tls_live::certificates_event(&mut events).await;
    assert_eq!(began.elapsed().as_secs(), 20);
    assert_eq!(
        site.join(&client, "a.example").await.unwrap().shown,
        newer.der
    );
}
