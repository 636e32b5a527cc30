use super::*;
use std::os::unix::net::{UnixDatagram, UnixStream};

/// A directory of the test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("app.sock")
    }

    /// The names in it, so that nothing temporary is left behind.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        entries.map(|entry| name(entry.unwrap())).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn listen(path: &Path, options: &UnixOptions) -> Result<(UnixListener, SocketFile), BindError> {
    bind_path(path, &AcceptOptions::default(), options, None)
}

fn occupant(path: &Path) -> Occupant {
    match listen(path, &UnixOptions::default()).unwrap_err() {
        BindError::Occupied { path: at, by } => {
            assert_eq!(at, path);
            by
        }
        other => panic!("{other}"),
    }
}

/// A socket file on which nobody listens, as a server that was killed leaves it.
fn leave_stale(path: &Path) {
    let socket = unix_socket(Type::STREAM).unwrap();
    socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
}

#[test]
fn the_mode_is_exact_and_the_file_goes_with_the_listener() {
    let directory = Directory::new("mode");
    for mode in [0o600, 0o660, 0o666, 0o000] {
        let options = UnixOptions {
            mode,
            ..UnixOptions::default()
        };
        let (_listener, file) = listen(&directory.socket(), &options).unwrap();
        let found = fs::symlink_metadata(directory.socket()).unwrap();
        assert_eq!(found.mode() & 0o7777, mode);
        assert_eq!(directory.names(), ["app.sock"]);
        drop(file);
        assert_eq!(directory.names(), [""; 0]);
    }
}

#[test]
fn the_socket_is_never_seen_with_a_wider_mode_nor_refuses_a_connection() {
    let directory = Directory::new("watch");
    let path = directory.socket();
    let (connected, connections) = std::sync::mpsc::sync_channel::<()>(0);
    let (watched, at) = (&directory, &path);
    std::thread::scope(|scope| {
        // Ends when nobody waits for its connections any more.
        scope.spawn(move || {
            loop {
                for name in watched.names() {
                    if let Ok(found) = fs::symlink_metadata(watched.0.join(name)) {
                        assert_eq!(found.mode() & 0o7777 & !0o600, 0);
                    }
                }
                match UnixStream::connect(at) {
                    Ok(_) if connected.send(()).is_err() => return,
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
                }
            }
        });
        let connections = connections;
        let mut all = vec![listen(&path, &UnixOptions::default()).unwrap()];
        for _ in 0..100 {
            connections.recv().expect("the watcher connects to each");
            let accept = AcceptOptions::default();
            let last = &all[all.len() - 1].1;
            let next = bind_path(&path, &accept, &UnixOptions::default(), Some(last));
            all.push(next.unwrap());
        }
        drop(connections);
        // What it connects to must not close before it has ended.
        all
    });
}

#[test]
fn owner_and_group_are_in_force_or_an_error() {
    let directory = Directory::new("owner");
    let options = UnixOptions {
        owner: Some("4242".to_owned()),
        group: Some("4343".to_owned()),
        mode: 0o660,
        ..UnixOptions::default()
    };
    match listen(&directory.socket(), &options) {
        Ok((_listener, _file)) => {
            let found = fs::symlink_metadata(directory.socket()).unwrap();
            assert_eq!((found.uid(), found.gid()), (4242, 4343));
            assert_eq!(found.mode() & 0o7777, 0o660);
        }
        Err(error) => {
            assert!(error.to_string().contains("CAP_CHOWN"), "{error}");
            assert_eq!(directory.names(), [""; 0]);
        }
    }
    let unknown = UnixOptions {
        group: Some("no-such-group".to_owned()),
        ..UnixOptions::default()
    };
    let error = listen(&directory.socket(), &unknown).unwrap_err();
    assert!(matches!(
        error,
        BindError::UnknownName {
            key: "unix.group",
            ..
        }
    ));
}

#[test]
fn only_a_socket_that_nobody_answers_on_is_replaced() {
    let directory = Directory::new("stale");
    let path = directory.socket();
    leave_stale(&path);
    let (listener, file) = listen(&path, &UnixOptions::default()).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    listener.accept().unwrap();
    assert_eq!(directory.names(), ["app.sock"]);
    assert_eq!(occupant(&path), Occupant::Server);
    drop((listener, file));

    fs::write(&path, "precious").unwrap();
    assert_eq!(occupant(&path), Occupant::NoSocket);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();

    // A link to a stale socket is a link.
    let target = directory.0.join("target");
    leave_stale(&target);
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert_eq!(occupant(&path), Occupant::NoSocket);
    fs::remove_file(&path).unwrap();

    let _datagrams = UnixDatagram::bind(&path).unwrap();
    assert_eq!(occupant(&path), Occupant::Server);
}

#[test]
fn a_server_that_was_quicker_keeps_its_name() {
    let directory = Directory::new("race");
    let path = directory.socket();
    leave_stale(&path);
    let judged = stale(&path).unwrap();
    assert!(judged.is_some());
    let (quick, quick_file) = listen(&path, &UnixOptions::default()).unwrap();
    let slow = unix_socket(Type::STREAM).unwrap();
    let mut file = bind_beside(&slow, &path).unwrap();
    let error = put_in_place(&mut file, &path, judged).unwrap_err();
    assert!(matches!(
        error,
        BindError::Occupied {
            by: Occupant::Newcomer,
            ..
        }
    ));
    // Neither what was nothing nor what was stale may be taken from it.
    let error = put_in_place(&mut file, &path, None).unwrap_err();
    assert!(matches!(
        error,
        BindError::Occupied {
            by: Occupant::Newcomer,
            ..
        }
    ));
    drop(file);
    assert_eq!(directory.names(), ["app.sock"]);
    let _client = UnixStream::connect(&path).unwrap();
    quick.accept().unwrap();
    drop(quick_file);
}

#[test]
fn a_file_that_another_process_put_there_is_not_removed() {
    let directory = Directory::new("foreign");
    let path = directory.socket();
    let (_listener, file) = listen(&path, &UnixOptions::default()).unwrap();
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(file);
    assert_eq!(directory.names(), ["app.sock"]);
}

#[test]
fn a_replaced_listener_gives_up_its_name_but_not_its_connections() {
    let directory = Directory::new("replace");
    let path = directory.socket();
    let (old, old_file) = listen(&path, &UnixOptions::default()).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    let wider = UnixOptions {
        mode: 0o666,
        ..UnixOptions::default()
    };
    let new = old_file.replace(&AcceptOptions::default(), &wider).unwrap();
    drop(old_file);
    assert_eq!(new.address().unwrap().to_string(), path.to_string_lossy());
    assert_eq!(directory.names(), ["app.sock"]);
    assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o666);
    old.accept().expect("it came before the change");
    let _client = UnixStream::connect(&path).unwrap();
    let Listening::Unix(listener, Some(_)) = &new else {
        panic!("{new:?}");
    };
    listener.accept().unwrap();
}

#[test]
fn a_path_that_is_too_long_or_nowhere_is_an_error() {
    let directory = Directory::new("long");
    let long = directory.0.join("x".repeat(108));
    let error = listen(&long, &UnixOptions::default()).unwrap_err();
    assert!(error.to_string().contains("more than 107 bytes"), "{error}");
    let nowhere = directory.0.join("missing/app.sock");
    let error = listen(&nowhere, &UnixOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("making the socket file"),
        "{error}"
    );
}
