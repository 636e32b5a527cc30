//! A process that has no descriptor left.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use wharf_stun::Method;
use wharf_turn_server::Counter;

use crate::client::Client;
use crate::support::{alone, config, peer_v4, read, start};

const CLIENTS: usize = 24;

/// The scheduler's account of the only worker's thread, opened while that is possible.
fn account() -> File {
    let mut tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let worker = tasks.find_map(|task| {
        let task = task.unwrap().path();
        let name = std::fs::read_to_string(task.join("comm")).unwrap();
        (name.trim() == "turn-0").then(|| File::open(task.join("schedstat")).unwrap())
    });
    worker.expect("a worker")
}

/// CPU time of the account's thread.
fn time(account: &File) -> Duration {
    let mut line = [0; 64];
    let length = account.read_at(&mut line, 0).unwrap();
    let line = std::str::from_utf8(&line[..length]).unwrap();
    Duration::from_nanos(line.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn without_descriptors_only_new_allocations_suffer() {
    // A client has two descriptors for its socket; what is left is too little for a relay each.
    let test = "descriptors::without_descriptors_only_new_allocations_suffer";
    if !alone(test, &[], "ulimit -n 72") {
        return;
    }
    let server = start(config());
    let handle = server.handle();
    // A thread has its name when it does its work.
    Client::new(&server).request(Method::BINDING, &|_| {});
    let account = account();
    let peer = peer_v4();
    let address = peer.local_addr().unwrap();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::new(&server)).collect();
    let mut live = Vec::new();
    let mut refused = Vec::new();
    for (index, client) in clients.iter_mut().enumerate() {
        let response = client.try_allocate(&|_| {});
        match response.code() {
            0 => live.push((index, crate::client::relayed(&response))),
            508 => refused.push(index),
            code => panic!("{code}"),
        }
    }
    assert!(live.len() > 4 && refused.len() > 4, "{live:?} {refused:?}");
    let failures = handle.counters().get(Counter::BindFailed);
    assert_eq!(failures, refused.len() as u64);
    assert_eq!(handle.counters().get(Counter::NoRelay), failures);

    // Live ones go on, and the listener answers.
    for (index, relayed) in &live {
        let client = &mut clients[*index];
        assert_eq!(client.permit(address), 0);
        client.round_trip(&peer, *relayed);
    }
    for index in &refused {
        assert_eq!(clients[*index].request(Method::BINDING, &|_| {}).code(), 0);
    }

    // Nothing happens for half a second, and nothing is done.
    let before = time(&account);
    peer.set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let nothing = peer.recv_from(&mut [0; 16]).unwrap_err();
    assert!(matches!(
        nothing.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    let busy = time(&account).saturating_sub(before);
    assert!(
        busy < Duration::from_millis(50),
        "the worker spins: {busy:?}"
    );

    // One that ends makes room for one.
    clients[live[0].0].release();
    let relayed = clients[refused[0]].allocate();
    assert_eq!(clients[refused[0]].permit(address), 0);
    clients[refused[0]].send_to(address, b"at last");
    assert_eq!(read(&peer), (b"at last".to_vec(), relayed));
}
