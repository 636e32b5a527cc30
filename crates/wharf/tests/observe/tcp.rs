//! What the kernel says of a connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wharf::config::Transport;
use wharf::sockets::TcpState;
use wharf::{Filter, Server, Tcp, testkit};

use crate::support::echo;

#[tokio::test]
async fn tcp_info_is_there_while_the_connection_is() {
    let (memory, connector) = testkit::memory(Transport::Tcp);
    let server = Server::builder()
        .listen("tcp", Tcp::bind("127.0.0.1:0"), echo)
        .listen("memory", memory, echo)
        .build()
        .unwrap();
    let handle = server.handle();
    let address = handle.address("tcp").unwrap().ip().unwrap();
    tokio::spawn(server.run());
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&[7; 1000]).await.unwrap();
    client.read_exact(&mut [0; 1000]).await.unwrap();
    let connection = handle.connections(&Filter::default().listener("tcp"));
    let info = connection[0].tcp_info().unwrap();
    assert_eq!(info.state, TcpState::Established);
    assert_eq!(info.bytes_received, 1000);
    assert!(info.path_mtu >= 1280);

    let mut in_memory = connector.connect_from("192.0.2.1:1").await.unwrap();
    in_memory.write_all(b"1").await.unwrap();
    in_memory.read_exact(&mut [0; 1]).await.unwrap();
    let other = handle.connections(&Filter::default().listener("memory"));
    assert!(other[0].tcp_info().is_none(), "it is no socket");

    drop((client, in_memory));
    let report = handle.drain(Duration::from_mins(1)).await;
    assert_eq!(report.forced(), 0);
    assert!(connection[0].tcp_info().is_none(), "it is closed");
}
