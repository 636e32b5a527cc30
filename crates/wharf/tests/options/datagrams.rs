//! `datagrams.*`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use wharf::config::{FlowKey, HealthCheck, Steering};
use wharf::{
    BoxError, Closed, Datagrams, Dropped, Handle, ListenerConfig, Messages, Server, Stats, Udp,
};

use super::workers::{all, ask, introducing};
use crate::{IT, rebind, start};

const PATIENCE: Duration = Duration::from_mins(2);

async fn echo(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

fn udp(change: impl FnOnce(&mut ListenerConfig)) -> (Handle, SocketAddr) {
    let listen = Udp::bind("127.0.0.1:0").with(change);
    let handle = start(Server::builder().listen_messages(IT, listen, echo));
    let to = handle.address(IT).unwrap().ip().unwrap();
    (handle, to)
}

fn change(handle: &Handle, change: impl FnOnce(&mut ListenerConfig)) {
    handle.change(IT, change).unwrap();
}

async fn client() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let received = timeout(PATIENCE, client.recv(&mut buffer)).await;
    buffer.truncate(received.expect("an answer").unwrap());
    buffer
}

pub(crate) async fn until(handle: &Handle, wanted: impl Fn(&Stats) -> bool) -> Stats {
    let found = async {
        loop {
            let stats = handle.inspect(IT).unwrap().stats;
            if wanted(&stats) {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, found).await.expect("the counters move")
}

#[tokio::test]
async fn queue() {
    let (begin, begun) = tokio::sync::watch::channel(false);
    let handler = move |mut messages: Messages| {
        let mut begun = begun.clone();
        async move {
            let _ = begun.wait_for(|begun| *begun).await;
            while let Some(Ok(message)) = messages.recv().await {
                let _ = messages.send(message).await;
            }
        }
    };
    let listen = Udp::bind("127.0.0.1:0").with(|it| it.datagrams.queue = 4096);
    let handle = start(Server::builder().listen_messages(IT, listen, handler));
    let to = handle.address(IT).unwrap().ip().unwrap();
    let client = client().await;
    for _ in 0..8 {
        client.send_to(&[7; 1000], to).await.unwrap();
    }
    // Each takes 128 bytes beside its payload: three of them fit.
    let stats = until(&handle, |stats| stats.datagrams_received == 8).await;
    assert_eq!(stats.dropped(Dropped::QueueFull), 5);
    change(&handle, |it| it.datagrams.queue = 8192);
    for _ in 0..8 {
        client.send_to(&[7; 1000], to).await.unwrap();
    }
    let stats = until(&handle, |stats| stats.datagrams_received == 16).await;
    assert_eq!(stats.dropped(Dropped::QueueFull), 5 + 4);
    begin.send_replace(true);
    for _ in 0..7 {
        assert_eq!(receive(&client).await.len(), 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn idle() {
    let (handle, to) = udp(|it| it.datagrams.idle = Some(Duration::from_secs(30)));
    let client = client().await;
    client.send_to(b"1", to).await.unwrap();
    receive(&client).await;
    let began = tokio::time::Instant::now();
    until(&handle, |stats| stats.closed(Closed::Idle) == 1).await;
    assert!((30..=31).contains(&began.elapsed().as_secs()));
    client.send_to(b"2", to).await.unwrap();
    receive(&client).await;
    change(&handle, |it| it.datagrams.idle = None);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(handle.inspect(IT).unwrap().stats.live, 1);
}

#[tokio::test]
async fn max_size() {
    let (handle, to) = udp(|it| it.datagrams.max_size = 64);
    let client = client().await;
    client.send_to(&[7; 65], to).await.unwrap();
    client.send_to(&[7; 64], to).await.unwrap();
    assert_eq!(receive(&client).await.len(), 64);
    let stats = handle.inspect(IT).unwrap().stats;
    assert_eq!(stats.dropped(Dropped::Oversized), 1);
    change(&handle, |it| it.datagrams.max_size = 65_535);
    client.send_to(&[7; 65], to).await.unwrap();
    assert_eq!(receive(&client).await.len(), 65);
}

#[tokio::test]
async fn gro() {
    for (gro, first) in [(true, 2500), (false, 1000)] {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let same = socket.try_clone().unwrap();
        let to = socket.local_addr().unwrap();
        let listen = Udp::from_std(socket).with(|it| it.datagrams.gro = gro);
        // It is bound, and does not receive: what waits is seen through the other descriptor.
        let server = Server::builder().listen_messages(IT, listen, echo).build();
        let options = wharf_udp::SocketOptions::default();
        let any = "127.0.0.1:0".parse().unwrap();
        let client = wharf_udp::Socket::bind(any, &options).unwrap();
        client.send(to, None, 0, Some(1000), &[7; 2500]).unwrap();
        let mut buffer = [0; 4096];
        assert_eq!(same.recv(&mut buffer).unwrap(), first);
        drop(server);
    }
}

#[tokio::test]
async fn timestamps() {
    for asked in [false, true] {
        let (told, mut tells) = tokio::sync::mpsc::channel(1);
        let handler = move |mut datagrams: Datagrams| {
            let told = told.clone();
            async move {
                while let Some(datagram) = datagrams.recv().await {
                    let _ = told.send(datagram.timestamp()).await;
                }
            }
        };
        let listen = Udp::bind("127.0.0.1:0").with(|it| it.datagrams.timestamps = asked);
        let handle = start(Server::builder().listen_datagrams(IT, listen, handler));
        let to = handle.address(IT).unwrap().ip().unwrap();
        client().await.send_to(b"now", to).await.unwrap();
        let at = timeout(PATIENCE, tells.recv()).await.unwrap().unwrap();
        assert_eq!(at.is_some(), asked);
        let age = at.map(|at| at.elapsed().unwrap_or_default());
        assert!(age.unwrap_or_default() < Duration::from_mins(1));
    }
}

#[tokio::test]
async fn health_check() {
    let check = HealthCheck {
        request: "alive?".to_owned(),
        answer: "yes".to_owned(),
    };
    let (handle, to) = udp(|it| it.datagrams.health_check = Some(check));
    let client = client().await;
    client.send_to(b"alive?", to).await.unwrap();
    assert_eq!(receive(&client).await, b"yes");
    let stats = handle.inspect(IT).unwrap().stats;
    assert_eq!((stats.arrived, stats.datagrams_answered), (0, 1));
    // Exactly this request.
    client.send_to(b"alive? ", to).await.unwrap();
    assert_eq!(receive(&client).await, b"alive? ");
    change(&handle, |it| it.datagrams.health_check = None);
    client.send_to(b"alive?", to).await.unwrap();
    assert_eq!(receive(&client).await, b"alive?");
}

#[tokio::test]
async fn flow_key() {
    let key = FlowKey {
        offset: 1,
        length: 2,
    };
    let (handle, to) = udp(|it| it.datagrams.flow_key = Some(key));
    let (one, two) = (client().await, client().await);
    one.send_to(b"aKEY", to).await.unwrap();
    assert_eq!(receive(&one).await, b"aKEY");
    // The peer has moved: it is the same flow, and answered where it is now.
    two.send_to(b"bKEY", to).await.unwrap();
    assert_eq!(receive(&two).await, b"bKEY");
    assert_eq!(handle.inspect(IT).unwrap().stats.accepted, 1);
    one.send_to(b"aOTHER", to).await.unwrap();
    assert_eq!(receive(&one).await, b"aOTHER");
    one.send_to(b"aK", to).await.unwrap();
    let stats = until(&handle, |stats| stats.datagrams_received == 4).await;
    assert_eq!(stats.accepted, 2);
    assert_eq!(stats.dropped(Dropped::NoKey), 1);
    change(&handle, |it| it.datagrams.flow_key = None);
    two.send_to(b"cKEY", to).await.unwrap();
    assert_eq!(receive(&two).await, b"cKEY");
    assert_eq!(handle.inspect(IT).unwrap().stats.accepted, 3);
}

#[tokio::test]
async fn workers() {
    let handle = introducing(|it| it.workers = 3);
    for said in all(&handle, 3).await {
        assert!(said.contains("/3 "), "{said}");
    }
    rebind(&handle, |it| it.datagrams.workers = 1);
    assert!(ask(&handle, b"?").await.starts_with("0/1 "));
    // As many as there are processors.
    rebind(&handle, |it| it.datagrams.workers = 0);
    let count = wharf_udp::allowed_cpus().len();
    let said = ask(&handle, b"?").await;
    assert!(said.contains(&format!("/{count} ")), "{said}");
}

#[tokio::test]
async fn pin_workers() {
    let allowed = wharf_udp::allowed_cpus();
    let handle = introducing(|it| it.workers = 1);
    assert!(ask(&handle, b"?").await.ends_with(&format!("{allowed:?}")));
    rebind(&handle, |it| it.datagrams.pin_workers = true);
    assert!(
        ask(&handle, b"?")
            .await
            .ends_with(&format!("[{}]", allowed[0]))
    );
}

#[tokio::test]
async fn steering() {
    let handle = introducing(|it| {
        it.workers = 3;
        it.steering = Steering::Payload {
            offset: 1,
            length: 2,
        };
    });
    for number in [0_u16, 1, 2, 3, 500, 0xFFFF] {
        let [high, low] = number.to_be_bytes();
        for _ in 0..8 {
            let said = ask(&handle, &[9, high, low]).await;
            assert!(said.starts_with(&format!("{}/3 ", number % 3)), "{said}");
        }
    }
    // Too short for the number: by the address.
    let mut said = std::collections::BTreeSet::new();
    while said.len() < 3 {
        said.insert(ask(&handle, &[9, 0]).await);
    }
    rebind(&handle, |it| {
        it.datagrams.steering = Steering::QuicConnectionId { byte: 0 }
    });
    for id in [0_u8, 1, 2, 254] {
        let said = ask(&handle, &[0x40, id]).await;
        assert!(said.starts_with(&format!("{}/3 ", id % 3)), "{said}");
    }
    rebind(&handle, |it| it.datagrams.steering = Steering::Flow);
    assert_eq!(all(&handle, 3).await.len(), 3);
}
