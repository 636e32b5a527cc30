//! Listeners from a file; with a second file, what a change to it would do, and then the change.
//!
//! ```text
//! cat > wharf.toml <<END
//! [limits]
//! max-connections = 10_000
//! [listeners.echo]
//! transport = "tcp"
//! bind = ["127.0.0.1:7000"]
//! timeouts.read-idle = "30s"
//! END
//! cargo run --example config_file -- wharf.toml [CHANGED.toml]
//! nc 127.0.0.1 7000
//! ```
//!
//! With `--check` it prints `timeouts.read-idle`.

mod support;

use std::time::Duration;

use support::{is_check, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use wharf::config::ServerConfig;
use wharf::{BoxError, Client, Handler, Server, Stream};

const EXAMPLE: &str = "[listeners.echo]\nbind = [\"127.0.0.1:0\"]\ntimeouts.read-idle = \"30s\"\n";

async fn echo(stream: Stream) -> Result<(), BoxError> {
    let (mut reader, mut writer) = split(stream);
    copy(&mut reader, &mut writer).await?;
    Ok(writer.shutdown().await?)
}

/// The file that the command line names in this place.
fn file(place: usize) -> Result<Option<String>, BoxError> {
    let name = std::env::args().nth(place).filter(|_| !is_check());
    Ok(name.map(std::fs::read_to_string).transpose()?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // Every problem is reported at once, each with its key.
    let config = ServerConfig::from_toml(file(1)?.as_deref().unwrap_or(EXAMPLE))?;
    let server = Server::builder()
        .config(config)
        .handler("echo", Handler::stream(echo))
        .build()?;
    let handle = server.handle();
    let change = |text: &str| -> Result<(), BoxError> {
        let changed = ServerConfig::from_toml(text)?;
        let plan = handle.apply(changed, Duration::from_secs(10))?;
        println!("{plan}");
        Ok(())
    };
    if let Some(text) = file(2)? {
        change(&text)?;
    }

    run(server, async {
        let url = format!("tcp://{}", handle.address("echo")?);
        let mut stream = Client::builder().build()?.connect(&url).await?;
        stream.write_all(b"ahoy").await?;
        change(&EXAMPLE.replace("30s", "60s"))?;
        stream.shutdown().await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        if said != "ahoy" {
            return Err("the connection did not live through the change".into());
        }
        Ok(())
    })
    .await
}
