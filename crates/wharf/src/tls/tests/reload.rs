//! Certificates that change while connections stand.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::config::{Certificate, ClientAuth, Resumption, TlsVersion};
use crate::tls::{TlsFault, WatchEvent};

#[tokio::test]
async fn connections_survive_a_reload() {
    let site = Site::new();
    let server = site.server(|_| ());
    let client = site.client(|_| ());
    let (mut near, mut far) = join(&server, &client, "a.example").await;
    let (waiting, late) = duplex(PIPE);
    let (hello, late) = {
        let far = tokio::spawn({
            let client = client.clone();
            async move { client.connect(late, "a.example").await }
        });
        (server.accept(waiting).await.unwrap(), far)
    };

    let new = site.ca.issue(&Leaf::named("new", &["a.example"]));
    let mut options = site.options();
    options.certificates = vec![new.certificate()];
    let reloaded = server.reload(&options).unwrap();
    assert_eq!(reloaded.changed, server.certificates());

    exchange(&mut near, &mut far).await;
    // A handshake that has begun ends as it began.
    let _near = hello.proceed().await.unwrap();
    assert_eq!(shown(&late.await.unwrap().unwrap()), site.leaf.der);
    let (_near, far) = join(&server, &client, "a.example").await;
    assert_eq!(shown(&far), new.der);
    assert_eq!(server.reload(&options).unwrap().changed, []);
}

#[tokio::test]
async fn a_bad_reload_keeps_all_that_was_in_force() {
    let site = Site::new();
    let server = site.server(|options| options.alpn = vec!["h2".to_owned()]);
    let before = server.options();
    let mut bad = site.options();
    bad.certificates[0].key = Pem::File("/nowhere/key.pem".into());
    server.reload(&bad).unwrap_err();
    assert_eq!(server.options(), before);
    let client = site.client(|options| options.alpn = vec!["h2".to_owned()]);
    let (near, far) = join(&server, &client, "a.example").await;
    assert_eq!(shown(&far), site.leaf.der);
    assert_eq!(info(&near).alpn.as_deref(), Some(&b"h2"[..]));
}

/// Whatever the reload, and whether it is refused or not, a peer in plaintext is not served.
#[tokio::test]
async fn no_reload_turns_tls_off() {
    let site = Site::new();
    let server = site.server(|_| ());
    let mut file = site.options();
    file.certificates[0].cert = Pem::File("/nowhere".into());
    let change = |change: fn(&mut TlsOptions)| {
        let mut options = site.options();
        change(&mut options);
        options
    };
    let reloads = [
        TlsOptions::default(),
        file,
        change(|options| options.certificates.clear()),
        change(|options| options.watch = None),
        change(|options| options.strict_sni = true),
        change(|options| options.alpn = vec!["x".to_owned()]),
        change(|options| options.alpn_required = false),
        change(|options| options.min_version = TlsVersion::V1_3),
        change(|options| options.client_auth = ClientAuth::Required),
        change(|options| options.client_ca = vec![Pem::File("/nowhere".into())]),
        change(|options| options.resumption = Resumption::Off),
    ];
    let mut refused = 0;
    for options in &reloads {
        refused += usize::from(server.reload(options).is_err());
        let (near, mut far) = duplex(PIPE);
        far.write_all(b"plain text, long enough to be read\r\n")
            .await
            .unwrap();
        assert_eq!(serve(&server, near).await.unwrap_err().label(), "not-tls");
        join(&server, &site.client(|_| ()), "a.example").await;
        assert!(!server.certificates().is_empty());
    }
    assert_eq!(refused, 4);
}

#[tokio::test]
async fn tickets_do_not_outlive_a_reload() {
    let site = Site::new();
    let (server, client) = (site.server(|_| ()), site.client(|_| ()));
    for resumed in [false, true] {
        let (mut near, mut far) = join(&server, &client, "a.example").await;
        exchange(&mut near, &mut far).await;
        assert_eq!(info(&near).resumed, resumed);
    }
    server.reload(&site.options()).unwrap();
    let (near, _far) = join(&server, &client, "a.example").await;
    assert!(!info(&near).resumed);
}

/// A certificate and key in files of their own, under a watch.
struct Watched {
    directory: PathBuf,
    server: Arc<ServerTls>,
    events: mpsc::UnboundedReceiver<WatchEvent>,
    task: tokio::task::JoinHandle<()>,
}

impl Watched {
    fn new(name: &str, leaf: &Issued, watch: Option<Duration>) -> Self {
        let directory =
            std::env::temp_dir().join(format!("wharf-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = |name: &str| Pem::File(directory.join(name));
        let options = TlsOptions {
            certificates: vec![Certificate {
                cert: file("cert.pem"),
                key: file("key.pem"),
                names: Vec::new(),
            }],
            watch,
            ..TlsOptions::default()
        };
        write(&directory, "cert.pem", &leaf.cert);
        write(&directory, "key.pem", &leaf.key);
        let server = Arc::new(ServerTls::new(&options).unwrap());
        let (tell, events) = mpsc::unbounded_channel();
        let watching = Arc::clone(&server).watch(move |event| tell.send(event).unwrap());
        let task = tokio::spawn(watching);
        Self {
            directory,
            server,
            events,
            task,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A new file under the name, as careful programs write it.
fn write(directory: &std::path::Path, name: &str, text: &str) {
    let new = directory.join("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, directory.join(name)).unwrap();
}

const INTERVAL: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn changed_files_are_put_in_force() {
    let site = Site::new();
    let mut watched = Watched::new("changed", &site.leaf, Some(INTERVAL));
    let new = site.ca.issue(&Leaf::named("new", &["a.example"]));

    // The certificate is new and the key is old: the old pair stays, and this is told once.
    write(&watched.directory, "cert.pem", &new.cert);
    let Some(WatchEvent::Failed(error)) = watched.events.recv().await else {
        panic!("no failure");
    };
    assert_eq!(error.0[0].fault, TlsFault::KeyMismatch);
    let client = site.client(|_| ());
    let (_near, far) = join(&watched.server, &client, "a.example").await;
    assert_eq!(shown(&far), site.leaf.der);
    tokio::time::sleep(INTERVAL * 5).await;
    assert!(watched.events.try_recv().is_err());

    write(&watched.directory, "key.pem", &new.key);
    let Some(WatchEvent::Reloaded(reloaded)) = watched.events.recv().await else {
        panic!("no reload");
    };
    assert_eq!(reloaded.changed, watched.server.certificates());
    let (_near, far) = join(&watched.server, &client, "a.example").await;
    assert_eq!(shown(&far), new.der);
    tokio::time::sleep(INTERVAL * 5).await;
    assert!(watched.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_keeps_the_old_one() {
    let site = Site::new();
    let mut watched = Watched::new("missing", &site.leaf, Some(INTERVAL));
    fs::remove_file(watched.directory.join("key.pem")).unwrap();
    let Some(WatchEvent::Failed(error)) = watched.events.recv().await else {
        panic!("no failure");
    };
    assert!(matches!(error.0[0].fault, TlsFault::Unreadable(_)));
    join(&watched.server, &site.client(|_| ()), "a.example").await;
}

#[tokio::test(start_paused = true)]
async fn the_watch_follows_its_option() {
    let site = Site::new();
    let mut watched = Watched::new("interval", &site.leaf, None);
    let new = site.ca.issue(&Leaf::named("new", &["a.example"]));
    write(&watched.directory, "cert.pem", &new.cert);
    write(&watched.directory, "key.pem", &new.key);
    tokio::time::sleep(INTERVAL * 100).await;
    assert!(watched.events.try_recv().is_err());

    let mut options = watched.server.options();
    options.watch = Some(INTERVAL);
    watched.server.reload(&options).unwrap();
    write(&watched.directory, "cert.pem", &site.leaf.cert);
    write(&watched.directory, "key.pem", &site.leaf.key);
    let start = tokio::time::Instant::now();
    let Some(WatchEvent::Reloaded(_)) = watched.events.recv().await else {
        panic!("no reload");
    };
    assert!(start.elapsed() >= INTERVAL && start.elapsed() < INTERVAL * 2);
}
