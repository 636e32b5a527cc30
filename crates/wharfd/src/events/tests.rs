use super::*;
use std::cell::Cell;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;
use tracing::Level;
use wharf_turn_server::{AuthFailure, ClientPath, PeerRefusal, PeerRules, Transport};

fn path() -> ClientPath {
    ClientPath {
        transport: Transport::Udp,
        client: "192.0.2.7:4000".parse().unwrap(),
        server: "192.0.2.1:3478".parse().unwrap(),
        listener: 0,
    }
}

fn failure(user: &str) -> Event {
    Event::AuthenticationFailed {
        path: path(),
        user: Some(user.into()),
        why: AuthFailure::WrongPassword,
    }
}

fn refusal(peer: &str) -> Event {
    let peer = peer.parse().unwrap();
    let policy = wharf_policy::PeerPolicy::new(PeerRules::default());
    let why: PeerRefusal = policy.check(peer).unwrap_err();
    Event::PeerRefused {
        path: path(),
        peer,
        why,
    }
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged of these events, in readable lines, while no time passes.
fn logged(level: Level, events: &[Event], lost: &Lost) -> Vec<String> {
    let start = now();
    logged_at(level, events, lost, || start)
}

fn logged_at(
    level: Level,
    events: &[Event],
    lost: &Lost,
    clock: impl Fn() -> Instant,
) -> Vec<String> {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    let (queue, waiting) = sync_channel(events.len());
    for event in events {
        queue.send(event.clone()).unwrap();
    }
    drop(queue);
    tracing::subscriber::with_default(subscriber, || write(&waiting, lost, clock));
    let bytes = captured.0.lock().unwrap().clone();
    String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_full_queue_loses_and_counts() {
    let (queue, waiting) = sync_channel(2);
    let lost = Lost::default();
    let hook = Hook {
        queue,
        lost: lost.clone(),
    };
    let subscriber = tracing_subscriber::fmt().with_writer(io::sink).finish();
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..5 {
            hook.take(&failure("alice"));
        }
    });
    assert_eq!(lost.get(), 3);
    assert_eq!(waiting.try_iter().count(), 2);
}

#[test]
fn the_next_line_says_how_many_were_lost() {
    let lost = Lost::default();
    lost.0.fetch_add(3, Relaxed);
    let lines = logged(Level::INFO, &[failure("alice"), failure("bob")], &lost);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(
        lines[0].contains("events were lost") && lines[0].contains("events=3"),
        "{}",
        lines[0]
    );
}

/// A user name is whatever the client sent: it must not forge a line of the log.
#[test]
fn a_user_name_cannot_start_a_line() {
    let forged = "x\n2026 INFO wharfd: ready\u{1b}[31m";
    let lines = logged(Level::INFO, &[failure(forged)], &Lost::default());
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("client=192.0.2.7:4000") && !lines[0].contains('\u{1b}'));
}

#[test]
fn a_refused_peer_is_explained_once_for_each_reason() {
    let events = [
        refusal("10.0.0.1:5"),
        refusal("10.0.0.2:5"),
        refusal("127.0.0.1:5"),
    ];
    let lines = logged(Level::INFO, &events, &Lost::default());
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].contains("peers.allow") && lines[1].contains("loopback"),
        "{lines:#?}"
    );
    assert_eq!(logged(Level::DEBUG, &events, &Lost::default()).len(), 3);
}

/// Each refused login is a line, and anybody can send thousands of them in a second.
#[test]
fn a_flood_is_cut_to_the_rate_counted_and_told() {
    let burst = rate::BURST as usize;
    let flood = vec![failure("mallory"); 30_000];
    let lost = Lost::default();
    assert_eq!(logged(Level::INFO, &flood, &lost).len(), burst);
    assert_eq!(lost.get(), 30_000 - u64::from(rate::BURST));

    // The clock is read once at the start and once for each event: the last hundred come later.
    let (start, reads) = (now(), Cell::new(0));
    let clock = || {
        reads.set(reads.get() + 1);
        start + Duration::from_secs(u64::from(reads.get() > flood.len() - 99))
    };
    let lines = logged_at(Level::INFO, &flood, &Lost::default(), clock);
    assert_eq!(lines.len(), burst + 1 + 100);
    assert!(
        lines[burst].contains("events were lost") && lines[burst].contains("events=28900"),
        "{}",
        lines[burst]
    );
}

/// What is lost between lines of a flood is told once a second, not with each line.
#[test]
fn losses_are_told_once_a_second() {
    let flood = vec![failure("mallory"); 4000];
    let (start, reads) = (now(), Cell::new(0));
    // A thousand events a second, of which the rate admits a fifth once the burst is over.
    let clock = || {
        reads.set(reads.get() + 1);
        start + Duration::from_millis(reads.get())
    };
    let lines = logged_at(Level::INFO, &flood, &Lost::default(), clock);
    let told = lines
        .iter()
        .filter(|line| line.contains("events were lost"));
    assert_eq!(told.count(), 3);
}

/// Peers that no line would name use up nothing of the rate.
#[test]
fn what_the_level_hides_is_not_lost() {
    let mut events = vec![refusal("10.0.0.1:5"); 5000];
    events.push(failure("mallory"));
    let lost = Lost::default();
    assert_eq!(logged(Level::INFO, &events, &lost).len(), 2);
    assert_eq!(logged(Level::ERROR, &events, &lost).len(), 0);
    assert_eq!(lost.get(), 0);
}
