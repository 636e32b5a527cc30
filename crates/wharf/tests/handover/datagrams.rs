//! Datagram sockets: both processes have them, one reads, and no datagram is lost.

use std::collections::BTreeMap;

use tokio::net::{UdpSocket, UnixDatagram};
use wharf::{Datagrams, Messages, Udp, Unixgram};

use super::*;

/// Answers each datagram with `who` and the datagram.
fn answer(who: &'static str) -> impl Fn(Messages) -> BoxFuture + Send + Sync + Clone + 'static {
    move |mut messages| {
        Box::pin(async move {
            while let Some(message) = messages.recv().await {
                let told = [who.as_bytes(), message?.payload()].concat();
                messages.send(wharf::Message::binary(told)).await?;
            }
            Ok(())
        })
    }
}

fn on_udp(who: &'static str) -> Builder {
    Server::builder().listen_messages("it", Udp::bind("127.0.0.1:0"), answer(who))
}

/// The same with a handler of single datagrams.
fn singles_on_udp(who: &'static str) -> Builder {
    let answer = move |mut datagrams: Datagrams| async move {
        while let Some(datagram) = datagrams.recv().await {
            let told = [who.as_bytes(), datagram.payload()].concat();
            datagrams.reply(&datagram, &told).await?;
        }
        Ok::<_, BoxError>(())
    };
    Server::builder().listen_datagrams("it", Udp::bind("127.0.0.1:0"), answer)
}

async fn received(client: &UdpSocket) -> String {
    let mut buffer = [0; 64];
    let received = client.recv(&mut buffer);
    let length = timeout(PATIENCE, received).await.unwrap().unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[tokio::test]
async fn no_datagram_is_lost_while_udp_sockets_change_hands() {
    lose_none("udp", on_udp).await;
}

#[tokio::test]
async fn no_single_datagram_is_lost_while_udp_sockets_change_hands() {
    lose_none("singles", singles_on_udp).await;
}

async fn lose_none(test: &str, server: fn(&'static str) -> Builder) {
    let directory = Directory::new(test);
    let socket = directory.socket();
    let first = Running::offering(server("one"), &socket);
    let address = first.handle.address("it").unwrap().ip().unwrap();
    // A client that sends all the time, from ever new ports and from an old one.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let traffic = tokio::spawn(async move {
        let old = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        old.connect(address).await.unwrap();
        let mut answers = BTreeMap::<String, u32>::new();
        let mut sent = 0;
        while !*stopped.borrow() {
            let new = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            new.connect(address).await.unwrap();
            for client in [&old, &new] {
                sent += 1;
                client.send(format!(" {sent}").as_bytes()).await.unwrap();
                let answer = received(client).await;
                let (who, number) = answer.split_once(' ').unwrap();
                assert_eq!(number, sent.to_string());
                *answers.entry(who.to_owned()).or_default() += 1;
            }
        }
        answers
    });
    let begun = first.handle.clone();
    let served = async |handle: &Handle| {
        let enough = async {
            while handle.inspect("it").unwrap().stats.datagrams_received < 100 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, enough).await.unwrap();
    };
    served(&begun).await;
    let second = server("two").inherit(take(&socket).await).build().unwrap();
    let second = Running::start(second);
    first.ended().await;
    served(&second.handle).await;
    assert_eq!(second.handle.address("it").unwrap().ip(), Some(address));
    stop.send_replace(true);
    let answers = traffic.await.unwrap();
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert!(answers.values().all(|&count| count >= 100), "{answers:?}");
}

/// Whoever waits for what has happened by now is woken by the kernel, and has run.
async fn everybody_has_run() {
    let (one, other) = UnixDatagram::pair().unwrap();
    one.send(b"now").await.unwrap();
    other.recv(&mut [0; 3]).await.unwrap();
    tokio::task::yield_now().await;
}

/// Answers likewise, but never ends.
async fn hold(messages: Messages) -> Result<(), BoxError> {
    answer("one")(messages).await?;
    std::future::pending().await
}

#[tokio::test]
async fn datagrams_that_wait_in_the_socket_are_the_successors() {
    let directory = Directory::new("unixgram");
    let (socket, path) = (directory.socket(), directory.file("it"));
    let listen = || Unixgram::bind(path.to_str().unwrap());
    let first = Server::builder().listen_messages("it", listen(), hold);
    let first = Running::offering(first, &socket);
    let client = UnixDatagram::bind(directory.file("client")).unwrap();
    client.connect(&path).unwrap();
    let ask = async |text: &str| {
        client.send(text.as_bytes()).await.unwrap();
        let mut buffer = [0; 64];
        let length = timeout(PATIENCE, client.recv(&mut buffer)).await;
        String::from_utf8(buffer[..length.unwrap().unwrap()].to_vec()).unwrap()
    };
    assert_eq!(ask(" a").await, "one a");
    let second = Server::builder().listen_messages("it", listen(), answer("two"));
    let second = second.inherit(take(&socket).await).build().unwrap();
    assert_eq!(ask(" b").await, "one b");
    second.take_over().await.unwrap();
    // The first has a flow of this peer as long as it drains, and the second does not run yet.
    assert!(first.handle.is_draining());
    client.send(b" c").await.unwrap();
    everybody_has_run().await;
    let second = Running::start(second);
    let mut buffer = [0; 64];
    let length = timeout(PATIENCE, client.recv(&mut buffer)).await;
    assert_eq!(&buffer[..length.unwrap().unwrap()], b"two c");
    assert!(path.exists());
    second.handle.drain(Duration::ZERO).await;
    assert!(!path.exists());
}
