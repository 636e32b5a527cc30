//! `transport` and `bind`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wharf::config::{Address, Transport};
use wharf::{Endpoint, Handle, Server, Tcp};

use super::{IT, connect, echo, rebind, serve, start};

#[tokio::test(start_paused = true)]
async fn transport() {
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    for (transport, answer) in [
        (Transport::Tcp, &request[..12]),
        (Transport::Ws, b"HTTP/1.1 101"),
    ] {
        let (handle, connector) = serve(transport, |_| {});
        let mut client = connect(&connector, "192.0.2.1").await;
        client.write_all(request).await.unwrap();
        let mut said = [0; 12];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(said, answer);
        let connections = handle.connections(&wharf::Filter::default());
        assert_eq!(connections[0].path().transport, transport);
        // A listener keeps its transport: its handler was made for it.
        let mut config = handle.config();
        config.listeners.get_mut(IT).unwrap().transport = match transport {
            Transport::Tcp => Transport::Ws,
            _ => Transport::Tcp,
        };
        let error = handle.apply(config, std::time::Duration::ZERO).unwrap_err();
        assert!(
            error.to_string().contains("listeners.it.transport"),
            "{error}"
        );
    }
}

fn addresses(handle: &Handle) -> Vec<std::net::SocketAddr> {
    let addresses = handle.inspect(IT).unwrap().addresses;
    addresses.iter().filter_map(Endpoint::ip).collect()
}

async fn answers(client: &mut TcpStream) {
    client.write_all(b"?").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'?');
}

#[tokio::test]
async fn bind() {
    let listen = Tcp::bind("127.0.0.1:0").bind("127.0.0.2:0");
    let handle = start(Server::builder().listen(IT, listen, echo));
    let old = addresses(&handle);
    let hosts: Vec<_> = old.iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(hosts, ["127.0.0.1", "127.0.0.2"]);
    let mut clients = Vec::new();
    for address in &old {
        let mut client = TcpStream::connect(address).await.unwrap();
        answers(&mut client).await;
        clients.push(client);
    }
    rebind(&handle, |it| {
        let new = ["127.0.0.2:0", "127.0.0.3:0"];
        it.bind = new.map(|text| text.parse::<Address>().unwrap()).to_vec();
    });
    let new = addresses(&handle);
    assert!(
        new.contains(&old[1]),
        "an address that stays keeps its socket"
    );
    assert!(
        new.iter()
            .any(|address| address.ip().to_string() == "127.0.0.3")
    );
    for address in &new {
        answers(&mut TcpStream::connect(address).await.unwrap()).await;
    }
    let gone = TcpStream::connect(old[0]).await.unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::ConnectionRefused);
    for client in &mut clients {
        answers(client).await;
    }
}
