//! Socket activation: the service manager listens, so that no connection is lost while the service
//! starts, and the service needs no right to bind.
//!
//! ```text
//! # echo.socket                      # echo.service
//! [Socket]                           [Service]
//! ListenStream=127.0.0.1:7000        ExecStart=/usr/local/bin/echo systemd:echo
//! FileDescriptorName=echo
//! ```
//!
//! ```text
//! cargo build --example systemd
//! systemd-socket-activate -l 127.0.0.1:7000 --fdname=echo target/debug/examples/systemd systemd:echo
//! nc 127.0.0.1 7000
//! ```
//!
//! With `--check` it prints `the activated process answered`.

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Command;

use support::is_check;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use wharf::{BoxError, Client, Server, Stream, Tcp};

async fn echo(stream: Stream) -> Result<(), BoxError> {
    let (mut reader, mut writer) = split(stream);
    copy(&mut reader, &mut writer).await?;
    Ok(writer.shutdown().await?)
}

/// Plays the service manager: starts this program with a listening socket, and asks it.
async fn activate() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("tcp://{}", listener.local_addr()?);
    // As sd_listen_fds(3) says: descriptor 3, and the process id of the one that it is for.
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=echo exec \"$0\" systemd:echo 3<&0";
    let mut service = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe()?)
        .stdin(OwnedFd::from(listener))
        .spawn()?;
    let asked = async {
        // It waits in the backlog until the service has started.
        let mut stream = Client::builder().build()?.connect(&url).await?;
        stream.write_all(b"ahoy").await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        if &answer == b"ahoy" {
            println!("the activated process answered");
        }
        Ok(())
    };
    let result = asked.await;
    service.kill()?;
    service.wait()?;
    result
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    if is_check() {
        return activate().await;
    }
    let address = support::address(0, "systemd:echo");
    let server = Server::builder()
        .listen("echo", Tcp::bind(address), echo)
        .build()?;
    support::run(server, async { Ok(()) }).await
}
