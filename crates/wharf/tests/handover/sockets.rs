//! Which socket becomes which.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::events::Event;
use wharf::{Server, Tcp, Unix};

use super::*;

#[tokio::test]
async fn the_successor_serves_the_same_port_and_the_predecessor_finishes_what_it_has() {
    let directory = Directory::new("port");
    let socket = directory.socket();
    let first = Running::offering(on_tcp("one"), &socket);
    let url = first.url("it");
    let (mut old, who) = ask(&url).await;
    assert_eq!(who, "one");

    let handover = take(&socket).await;
    assert_eq!(handover.sockets().count(), 1);
    let second = Running::offering(on_tcp("two").inherit(handover), &socket);
    let mut events = first.handle.events();
    assert_eq!(second.url("it"), url);
    while !matches!(events.recv().await.unwrap(), Event::Draining) {}
    assert_eq!(ask(&url).await.1, "two");

    // Who came before is still there, and the one who serves him too.
    old.write_all(b"still").await.unwrap();
    let mut echo = [0; 5];
    old.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"still");
    drop(old);
    let report = first.ended().await;
    assert_eq!((report.finished(), report.forced()), (1, 0));

    // And so on: the third asks at the same place.
    let third = Running::offering(on_tcp("six").inherit(take(&socket).await), &socket);
    second.ended().await;
    assert_eq!(ask(&url).await.1, "six");
    third.handle.drain(PATIENCE).await;
    assert!(!socket.exists(), "the last one removes the file");
}

#[tokio::test]
async fn who_waits_in_the_backlog_is_served_by_the_successor() {
    let directory = Directory::new("backlog");
    let first = Running::offering(on_tcp("one"), &directory.socket());
    let url = first.url("it");
    first.handle.suspend("it").unwrap();
    let waiting = tokio::spawn({
        let url = url.clone();
        async move { ask(&url).await.1 }
    });
    let address = first.handle.address("it").unwrap().ip().unwrap();
    // The kernel completes the connection before anybody accepts it.
    let also = std::net::TcpStream::connect(address).unwrap();

    let handover = take(&directory.socket()).await;
    let second = Running::start(on_tcp("two").inherit(handover).build().unwrap());
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), "two");
    also.set_nonblocking(true).unwrap();
    let mut also = tokio::net::TcpStream::from_std(also).unwrap();
    let mut answer = [0; 3];
    also.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"two");
    assert_eq!(first.ended().await.finished(), 0);
    drop(second);
}

#[tokio::test]
async fn a_unix_socket_keeps_its_file_until_the_last_one_ends() {
    let directory = Directory::new("file");
    let (socket, path) = (directory.socket(), directory.file("it"));
    let on = |who| Server::builder().listen("it", Unix::bind(path.to_str().unwrap()), tell(who));
    let first = Running::offering(on("one"), &socket);
    let url = first.url("it");
    let second = Running::offering(on("two").inherit(take(&socket).await), &socket);
    first.ended().await;
    assert_eq!(ask(&url).await.1, "two");
    assert_eq!(second.url("it"), url);
    drop(second.handle.drain(Duration::ZERO).await);
    assert!(!path.exists() && !socket.exists());
}

#[tokio::test]
async fn addresses_that_were_renamed_are_found_and_others_made_or_closed() {
    let directory = Directory::new("other");
    let (socket, path) = (directory.socket(), directory.file("unwanted"));
    let first = on_tcp("one").listen("gone", Unix::bind(path.to_str().unwrap()), tell("one"));
    let first = Running::offering(first, &socket);
    let kept = first.handle.address("it").unwrap().to_string();

    let handover = take(&socket).await;
    let offered: Vec<_> = handover
        .sockets()
        .map(|(name, address)| format!("{name} {address}"))
        .collect();
    assert_eq!(
        offered,
        [format!("gone {}", path.display()), format!("it {kept}")]
    );
    let second = Server::builder()
        .inherit(handover)
        .listen("renamed", Tcp::bind(&kept), tell("two"))
        .listen("new", Tcp::bind("127.0.0.1:0"), tell("two"));
    let second = Running::start(second.build().unwrap());
    first.ended().await;
    for name in ["renamed", "new"] {
        assert_eq!(ask(&second.url(name)).await.1, "two");
    }
    assert_eq!(second.handle.address("renamed").unwrap().to_string(), kept);
    // What nobody wanted has no file any more, and neither has the place where none offers.
    assert!(!path.exists() && !socket.exists());
    assert!(Handover::take(&socket).await.unwrap().is_none());
}

#[tokio::test]
async fn more_sockets_than_a_message_takes_come_in_several() {
    let directory = Directory::new("many");
    let on = |who| {
        let names = 0..150;
        let mut listen = Tcp::bind("127.0.0.1:0");
        listen = names.fold(listen, |listen, n| {
            listen.bind(directory.file(&n.to_string()).to_str().unwrap())
        });
        let listen = listen.with(|config| config.transport = wharf::config::Transport::Ws);
        Server::builder().listen("it", listen, tell(who))
    };
    let first = Running::offering(on("one"), &directory.socket());
    let before = first.handle.inspect("it").unwrap().addresses;
    let handover = take(&directory.socket()).await;
    assert_eq!(handover.sockets().count(), 151);
    let mut second = Running::start(on("two").inherit(handover).build().unwrap());
    first.ended().await;
    assert_eq!(second.handle.inspect("it").unwrap().addresses, before);
    let told = async {
        loop {
            if let Event::TookOver { sockets } = second.events.recv().await.unwrap() {
                return sockets;
            }
        }
    };
    // With the one on which handovers are asked for.
    assert_eq!(timeout(PATIENCE, told).await.unwrap(), 152);
}

#[tokio::test]
async fn descriptors_of_the_program_go_with_the_sockets() {
    let directory = Directory::new("carried");
    let first = Running::offering(on_tcp("one"), &directory.socket());
    // More than one message takes.
    for number in 0..70 {
        let file = std::fs::File::create(directory.file(&format!("file {number}"))).unwrap();
        first.handle.carry(format!("{number}"), file.into());
    }
    let mut handover = take(&directory.socket()).await;
    assert_eq!(handover.sockets().count(), 1);
    let carried = handover.carried();
    assert!(handover.carried().is_empty());
    let mut events = first.handle.events();
    let second = Running::start(on_tcp("two").inherit(handover).build().unwrap());
    let given = loop {
        if let Event::HandedOver { sockets } = events.recv().await.unwrap() {
            break sockets;
        }
    };
    // With the listener's, and the one on which handovers are asked for.
    assert_eq!(given, 72);
    first.ended().await;
    assert_eq!(ask(&second.url("it")).await.1, "two");
    assert_eq!(carried.len(), 70);
    for (number, (name, descriptor)) in carried.into_iter().enumerate() {
        assert_eq!(name, number.to_string());
        let mut file = std::fs::File::from(descriptor);
        std::io::Write::write_all(&mut file, name.as_bytes()).unwrap();
        let read = std::fs::read_to_string(directory.file(&format!("file {number}")));
        assert_eq!(read.unwrap(), name);
    }
}

#[tokio::test]
async fn sockets_of_several_acceptors_are_all_taken() {
    let directory = Directory::new("reuse");
    let on = |who| {
        let listen = Tcp::bind("127.0.0.1:0").with(|config| {
            config.accept.reuse_port = true;
            config.accept.acceptors = 3;
        });
        Server::builder().listen("it", listen, tell(who))
    };
    let first = Running::offering(on("one"), &directory.socket());
    let url = first.url("it");
    let second = on("two").inherit(take(&directory.socket()).await);
    let second = Running::start(second.build().unwrap());
    first.ended().await;
    assert_eq!(second.handle.inspect("it").unwrap().addresses.len(), 3);
    for _ in 0..30 {
        assert_eq!(ask(&url).await.1, "two");
    }
}
