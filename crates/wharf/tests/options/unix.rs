//! `unix.*`, on real sockets.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use wharf::config::UnixOptions;
use wharf::{Handle, Listen, Refusal, Server, Stream, Unix};

use super::{IT, echo, refused, start};

/// A directory of the test's own, removed at its end.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("wharf-options-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("app.sock")
    }

    pub(super) fn listen(&self, set: impl FnOnce(&mut UnixOptions)) -> Listen {
        let path = self.socket();
        Unix::bind(path.to_str().unwrap()).with(|config| set(&mut config.unix))
    }

    pub(super) async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).await.unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn serve(listen: Listen) -> Handle {
    start(Server::builder().listen(IT, listen, echo))
}

/// Whether what is sent comes back; if not, the connection must have ended.
async fn is_served(client: &mut UnixStream) -> bool {
    // Who was turned away already cannot send.
    let _ = client.write_all(b"?").await;
    let answer = timeout(Duration::from_secs(30), client.read_u8()).await;
    answer
        .expect("an answer or an end")
        .is_ok_and(|byte| byte == b'?')
}

#[tokio::test]
async fn mode() {
    for mode in [0o600, 0o640, 0o666] {
        let directory = Directory::new(&format!("mode-{mode:o}"));
        let _handle = serve(directory.listen(|unix| unix.mode = mode));
        let found = fs::symlink_metadata(directory.socket()).unwrap();
        assert_eq!(found.st_mode() & 0o7777, mode);
    }
}

/// Giving a file to another user takes a privilege; without it the server does not start.
fn owned(directory: &Directory, set: impl FnOnce(&mut UnixOptions)) -> Option<fs::Metadata> {
    let built = Server::builder()
        .listen(IT, directory.listen(set), echo)
        .build();
    if rustix::process::geteuid().is_root() {
        let _server = built.unwrap();
        return Some(fs::symlink_metadata(directory.socket()).unwrap());
    }
    assert!(built.is_err());
    None
}

#[tokio::test]
async fn owner() {
    let directory = Directory::new("owner");
    let found = owned(&directory, |unix| unix.owner = Some("4321".to_owned()));
    assert!(found.is_none_or(|found| found.st_uid() == 4321));
}

#[tokio::test]
async fn group() {
    let directory = Directory::new("group");
    let found = owned(&directory, |unix| unix.group = Some("4321".to_owned()));
    assert!(found.is_none_or(|found| found.st_gid() == 4321));
}

#[tokio::test]
async fn peers() {
    let directory = Directory::new("peers");
    let own = rustix::process::geteuid();
    let rules = |texts: &[String]| {
        let rules = texts.iter().map(|text| text.parse().unwrap());
        rules.collect::<Vec<_>>()
    };
    let others = rules(&[format!("deny uid {own}")]);
    let handle = serve(directory.listen(|unix| unix.peers = others));
    assert!(!is_served(&mut directory.connect().await).await);
    assert_eq!(refused(&handle, Refusal::Identity), 1);
    // Live, and the first rule that matches decides.
    let group = rustix::process::getegid();
    let own = rules(&[format!("allow gid {group}"), "deny all".to_owned()]);
    handle.change(IT, |config| config.unix.peers = own).unwrap();
    let mut client = directory.connect().await;
    assert!(is_served(&mut client).await);
    let nobody = rules(&["deny all".to_owned()]);
    handle
        .change(IT, |config| config.unix.peers = nobody)
        .unwrap();
    assert!(is_served(&mut client).await);
    assert!(!is_served(&mut directory.connect().await).await);
    assert_eq!(refused(&handle, Refusal::Identity), 2);
}

#[tokio::test]
async fn a_handler_knows_the_process_at_the_other_end() {
    let directory = Directory::new("credentials");
    let tell = async |mut stream: Stream| {
        let peer = stream.connection().credentials().unwrap();
        let told = format!("{} {} {:?}", peer.uid, peer.gid, peer.pid);
        stream.write_all(told.as_bytes()).await
    };
    let listen = directory.listen(|_| ());
    let _handle = start(Server::builder().listen(IT, listen, tell));
    let mut told = String::new();
    directory
        .connect()
        .await
        .read_to_string(&mut told)
        .await
        .unwrap();
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    assert!(told.starts_with(&format!("{uid} {gid} ")), "{told}");
    assert!(told.contains(&std::process::id().to_string()), "{told}");
}

#[tokio::test]
async fn an_abstract_name_is_served_and_leaves_no_file() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("wharf-options-{}", std::process::id());
    let handle = serve(Unix::bind(format!("@{name}")));
    assert_eq!(handle.address(IT).unwrap().to_string(), format!("@{name}"));
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let client = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
    client.set_nonblocking(true).unwrap();
    let mut client = UnixStream::from_std(client).unwrap();
    assert!(is_served(&mut client).await);
    assert!(!std::path::Path::new(&format!("@{name}")).exists());
}
