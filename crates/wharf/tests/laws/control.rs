//! The control plane on listeners that run.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wharf::config::{ServerConfig, Transport};
use wharf::testkit::{Harness, memory};
use wharf::{Closed, Endpoint, Filter, Handle, Handler, Refusal, Server, Tcp};

use crate::echo;

async fn is_served(client: &mut TcpStream) -> bool {
    client.write_all(b"?").await.is_ok() && matches!(client.read(&mut [0]).await, Ok(1))
}

fn port(handle: &Handle, listener: &str) -> std::net::SocketAddr {
    match handle.address(listener).unwrap() {
        Endpoint::Ip(address) => address,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn listeners_come_wait_and_go() {
    let (one, first) = memory(Transport::Tcp);
    let harness = Harness::start(Server::builder().listen("one", one, echo)).unwrap();
    let handle = harness.handle();
    let (two, second) = memory(Transport::Tcp);
    handle.add("two", two, Handler::stream(echo)).unwrap();
    let (again, _) = memory(Transport::Tcp);
    let twice = handle.add("two", again, Handler::stream(echo)).unwrap_err();
    assert!(twice.to_string().contains("listeners.two"), "{twice}");
    assert_eq!(handle.listeners(), ["one", "two"]);

    handle.suspend("two").unwrap();
    harness.settle().await;
    let mut waits = second.connect_from("192.0.2.1:1").await.unwrap();
    waits.write_all(b"x").await.unwrap();
    harness.settle().await;
    assert!(handle.inspect("two").unwrap().suspended);
    assert_eq!(harness.stats("two").arrived, 0, "it stays in the backlog");
    handle.resume("two").unwrap();
    waits.read_exact(&mut [0]).await.unwrap();

    let mut stays = first.connect_from("192.0.2.7:1").await.unwrap();
    let mut goes = first.connect_from("192.0.2.8:1").await.unwrap();
    harness.settle().await;
    let filter = Filter::default()
        .listener("one")
        .peer("192.0.2.8/32".parse().unwrap());
    assert_eq!(handle.connections(&filter).len(), 1);
    assert_eq!(handle.close(&filter), 1);
    assert_eq!(goes.read(&mut [0]).await.unwrap(), 0);
    harness.settle().await;
    assert_eq!(harness.stats("one").closed(Closed::Control), 1);
    stays.write_all(b"x").await.unwrap();
    stays.read_exact(&mut [0]).await.unwrap();

    let report = handle.remove("two", Duration::from_secs(1)).await.unwrap();
    assert_eq!((report.finished(), report.forced()), (0, 1));
    assert_eq!(report.listeners[0].reasons, [(Closed::Removed, 1)]);
    assert_eq!(waits.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(handle.listeners(), ["one"]);
    for unknown in [handle.suspend("two"), handle.resume("two")] {
        assert_eq!(unknown.unwrap_err().0, "two");
    }
    harness.finish(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn an_applied_configuration_binds_anew_and_keeps_connections() {
    let builder = Server::builder()
        .listen("a", Tcp::bind("127.0.0.1:0"), echo)
        .handler("b", Handler::stream(echo));
    let harness = Harness::start(builder).unwrap();
    let handle = harness.handle();
    let old = port(handle, "a");
    let mut client = TcpStream::connect(old).await.unwrap();
    assert!(is_served(&mut client).await);

    // What cannot be bound changes nothing, not even what could be changed alone.
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().to_string();
    let mut config: ServerConfig = handle.config();
    let mut b = config.listeners["a"].clone();
    b.bind = vec![taken.parse().unwrap()];
    config.listeners.insert("b".to_owned(), b);
    config
        .listeners
        .get_mut("a")
        .unwrap()
        .limits
        .max_connections = 1;
    let deadline = Duration::from_secs(1);
    let failed = handle
        .apply(config.clone(), deadline)
        .unwrap_err()
        .to_string();
    assert!(failed.contains("listeners.b.bind"), "{failed}");
    assert_eq!(handle.config().listeners["a"].limits.max_connections, 0);
    assert_eq!(handle.listeners(), ["a"]);

    // The same with the address free.
    drop(occupied);
    let plan = handle.plan(&config);
    assert_eq!(plan.added, ["b"]);
    assert_eq!(handle.apply(config.clone(), deadline).unwrap().added, ["b"]);
    let mut other = TcpStream::connect(&taken).await.unwrap();
    assert!(is_served(&mut other).await);
    let mut second = TcpStream::connect(old).await.unwrap();
    assert!(!is_served(&mut second).await, "one is the limit now");
    assert_eq!(harness.stats("a").refused(Refusal::ListenerFull), 1);

    // Another address: the old socket goes, its connections stay.
    config.listeners.get_mut("a").unwrap().bind = vec!["127.0.0.2:0".parse().unwrap()];
    config
        .listeners
        .get_mut("a")
        .unwrap()
        .limits
        .max_connections = 0;
    config.listeners.remove("b");
    handle.apply(config, deadline).unwrap();
    let new = port(handle, "a");
    assert_eq!(new.ip().to_string(), "127.0.0.2");
    assert!(is_served(&mut client).await);
    assert!(is_served(&mut TcpStream::connect(new).await.unwrap()).await);
    assert_eq!(
        other.read(&mut [0]).await.unwrap(),
        0,
        "its listener was removed"
    );
    assert!(TcpStream::connect(&taken).await.is_err());

    let config = handle.config();
    drop(client);
    let handle = handle.clone();
    harness.finish(deadline).await;
    let late = handle.apply(config, deadline).unwrap_err();
    assert!(late.to_string().contains("draining"), "{late}");
}

/// Addresses go from one listener to another: a swap, and another name. A wider one has to wait.
#[tokio::test]
async fn addresses_that_are_given_up_are_handed_over() {
    let says = |name: &'static str| {
        Handler::stream(async move |mut stream: wharf::Stream| {
            stream.write_all(name.as_bytes()).await
        })
    };
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (one, two) = (free(), free());
    let [first, second] = [&one, &two].map(|it| it.local_addr().unwrap());
    drop((one, two));
    let builder = Server::builder()
        .listen_with("a", Tcp::bind(first.to_string()), says("a"))
        .listen_with("b", Tcp::bind(second.to_string()), says("b"))
        .handler("c", says("c"));
    let harness = Harness::start(builder).unwrap();
    let handle = harness.handle();
    let who = async |address| {
        let mut said = String::new();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.read_to_string(&mut said).await.unwrap();
        said
    };
    assert_eq!((&*who(first).await, &*who(second).await), ("a", "b"));
    let deadline = Duration::from_secs(1);
    let mut config = handle.config();
    let bind = |port: std::net::SocketAddr| vec![port.to_string().parse().unwrap()];
    config.listeners.get_mut("a").unwrap().bind = bind(second);
    config.listeners.get_mut("b").unwrap().bind = bind(first);
    handle.apply(config.clone(), deadline).unwrap();
    assert_eq!((&*who(first).await, &*who(second).await), ("b", "a"));
    let renamed = config.listeners.remove("b").unwrap();
    config.listeners.insert("c".to_owned(), renamed);
    handle.apply(config.clone(), deadline).unwrap();
    assert_eq!(handle.listeners(), ["a", "c"]);
    assert_eq!((&*who(first).await, &*who(second).await), ("c", "a"));
    let wide = std::net::SocketAddr::from(([0, 0, 0, 0], first.port()));
    config.listeners.get_mut("c").unwrap().bind = bind(wide);
    let refused = handle.apply(config, deadline).unwrap_err().to_string();
    assert!(
        refused.contains("without these addresses first"),
        "{refused}"
    );
    assert_eq!(who(first).await, "c");
    harness.finish(deadline).await;
}
