//! One port for SIP, STUN, HTTP and whatever else, with TLS or without: the first bytes decide.
//!
//! ```text
//! cargo run --example one_port -- [TCP]
//! curl http://127.0.0.1:7000/                          # HTTP
//! curl --insecure https://127.0.0.1:7000/              # the same, in TLS
//! printf 'OPTIONS sip:me SIP/2.0\r\n\r\n' | nc 127.0.0.1 7000
//! nc 127.0.0.1 7000                                    # says nothing: is greeted after 3 s
//! ```
//!
//! With `--check` it prints `HTTP/1.1, HTTP/1.1 in tls, SIP/2.0, 220`.

mod support;

use support::{address, certificate, run, trusting};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::DemuxLayer;
use wharf::{BoxError, Handler, Handlers, Protocol, Server, Stream, Tcp};

async fn http(mut stream: Stream) -> Result<(), BoxError> {
    let over = stream.path().transport.label();
    let body = format!("over {over}\n");
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

async fn sip(mut stream: Stream) -> Result<(), BoxError> {
    let answer = b"SIP/2.0 501 Not Implemented\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(answer).await?;
    Ok(stream.shutdown().await?)
}

/// Speaks first, as servers of mail do.
async fn greet(mut stream: Stream) -> Result<(), BoxError> {
    stream.write_all(b"220 who is there?\r\n").await?;
    Ok(stream.shutdown().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (cert, key) = certificate(&["127.0.0.1"])?;
    let listen = Tcp::bind(address(0, "127.0.0.1:7000"))
        .demux([DemuxLayer::Tls])
        .cert(cert.clone(), key);
    let handlers = Handlers::first(Protocol::Http, Handler::stream(http))
        .and_first(Protocol::Sip, Handler::stream(sip))
        .or(Handler::stream(greet));
    let server = Server::builder()
        .listen_with("port", listen, handlers)
        .build()?;

    let address = server.handle().address("port")?;
    run(server, async {
        let client = trusting(&cert)?;
        // The first word of the answer.
        let ask = async |url: String, request: &'static [u8]| -> Result<String, BoxError> {
            let mut stream = client.connect(&url).await?;
            stream.write_all(request).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            let word = answer.split(' ').next().unwrap_or_default().to_owned();
            Ok(
                if answer.ends_with(
                    "over tls
",
                ) {
                    format!("{word} in tls")
                } else {
                    word
                },
            )
        };
        let told = [
            ask(format!("tcp://{address}"), b"GET / HTTP/1.1\r\n\r\n").await?,
            ask(format!("tls://{address}"), b"GET / HTTP/1.1\r\n\r\n").await?,
            ask(
                format!("tcp://{address}"),
                b"OPTIONS sip:me SIP/2.0\r\n\r\n",
            )
            .await?,
            ask(format!("tcp://{address}"), b"EHLO me\r\n").await?,
        ];
        println!("{}", told.join(", "));
        Ok(())
    })
    .await
}
