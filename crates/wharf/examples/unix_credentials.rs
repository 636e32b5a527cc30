//! A Unix socket that only our own user may use, and that knows which process has come.
//!
//! ```text
//! cargo run --example unix_credentials -- [PATH]
//! socat - UNIX:/tmp/whoami.sock
//! ```
//!
//! With `--check` it prints `the server saw its own process`.

mod support;

use std::os::unix::fs::MetadataExt;

use support::{address, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::{BoxError, Client, Server, Stream, Unix};

async fn who(mut stream: Stream) -> Result<(), BoxError> {
    let text = match stream.connection().credentials() {
        Some(peer) => format!(
            "uid {} gid {} pid {}",
            peer.uid,
            peer.gid,
            peer.pid.unwrap_or(0)
        ),
        None => "nobody that the kernel knows".to_owned(),
    };
    stream.write_all(text.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let path = address(0, "/tmp/whoami.sock");
    let uid = std::fs::metadata("/proc/self")?.uid();
    let listen = Unix::bind(&path).mode(0o660).with(|config| {
        config.unix.peers = [format!("allow uid {uid}"), "deny all".to_owned()]
            .iter()
            .filter_map(|rule| rule.parse().ok())
            .collect();
    });
    let server = Server::builder().listen("unix", listen, who).build()?;
    run(server, async {
        let client = Client::builder().build()?;
        let mut stream = client.connect(&format!("unix:{path}")).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        let ours = format!("pid {}", std::process::id());
        let is_ours = said.starts_with(&format!("uid {uid} ")) && said.ends_with(&ours);
        println!(
            "the server saw {}",
            if is_ours { "its own process" } else { &said }
        );
        Ok(())
    })
    .await
}
