//! Behind haproxy: the client's own address from the PROXY header, and what else the proxy knows.
//!
//! ```text
//! # haproxy.cfg
//! frontend in
//!     mode tcp
//!     bind 127.0.0.1:7100
//!     default_backend out
//! backend out
//!     mode tcp
//!     server wharf 127.0.0.1:7000 send-proxy-v2 proxy-v2-options unique-id,authority
//! ```
//!
//! ```text
//! cargo run --example proxy_protocol -- [TCP] [RANGE OF PROXIES]
//! haproxy -f haproxy.cfg &
//! nc 127.0.0.1 7100
//! ```
//!
//! With `--check` it prints `you are 192.0.2.1:1000, you asked for 192.0.2.9:443 (example.org)`.

mod support;

use support::{address, is_check, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::client::{ProxiedClient, SendProxy};
use wharf::config::ProxyMode;
use wharf::proxy::{Addresses, Tlv, Version};
use wharf::{BoxError, Client, Server, Stream, Tcp};

async fn tell(mut stream: Stream) -> Result<(), BoxError> {
    let connection = stream.connection();
    let tlvs = connection.proxied().map(|proxied| &proxied.header.tlvs);
    let authority = tlvs.into_iter().flatten().find_map(|tlv| match tlv {
        Tlv::Authority(name) => Some(name.as_str()),
        _ => None,
    });
    let (path, authority) = (connection.path(), authority.unwrap_or("no name"));
    let text = format!(
        "you are {}, you asked for {} ({authority})",
        path.peer, path.local
    );
    stream.write_all(text.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let trusted = std::env::args().nth(2).filter(|_| !is_check());
    let trusted = trusted.as_deref().unwrap_or("127.0.0.0/8");
    let listen = Tcp::bind(address(0, "127.0.0.1:7000")).proxy(ProxyMode::Required, [trusted]);
    let server = Server::builder().listen("tcp", listen, tell).build()?;

    let url = format!("tcp://{}", server.handle().address("tcp")?);
    run(server, async {
        let client = Client::builder().proxy(SendProxy {
            of: ProxiedClient::Other(Addresses::Ip {
                source: "192.0.2.1:1000".parse()?,
                destination: "192.0.2.9:443".parse()?,
            }),
            tlvs: vec![Tlv::Authority("example.org".to_owned())],
            crc32c: true,
            ..SendProxy::new(Version::V2)
        });
        let mut told = String::new();
        let mut stream = client.build()?.connect(&url).await?;
        stream.read_to_string(&mut told).await?;
        println!("{told}");
        Ok(())
    })
    .await
}
