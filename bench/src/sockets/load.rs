//! The load: a child that holds its connections open and works when it is told to.
//!
//! It prints `ready` once its connections are made. For each line `run MS RATE` it works for so
//! many milliseconds and answers `done COUNT`. RATE, attempts a second, counts only for `overload`,
//! where 0 stands for one attempt after the other. It ends when its input ends.

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::connect::{Bytes, Connector, echo, sip};
use super::options::{LoadRole, Work};
use super::serve::REQUEST;
use crate::Failure;

/// Connections that are made at once, fewer than any backlog.
const OPENING: usize = 100;
/// How long an answer may take to be of use.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Attempts under way at once; what is more is not begun.
const ATTEMPTS: usize = 12_000;
/// How often attempts are begun.
const TICK: Duration = Duration::from_millis(1);

/// Runs until the standard input ends.
pub(crate) fn run(role: &LoadRole) -> Result<(), Failure> {
    super::raise_descriptors()?;
    let failed = |error| Failure::io(&"load", error);
    let runtime = super::runtime()?;
    let connector = {
        let _within = runtime.enter();
        Arc::new(Connector::new(role)?)
    };
    let exchange = Arc::new(match role.work {
        Work::Sip => sip(role.transport)?,
        _ => echo(role.transport, role.size),
    });
    let mut open = match role.work {
        Work::Accept | Work::Overload => Vec::new(),
        work => {
            // A phone asks as soon as it is connected.
            let first = (work == Work::Sip).then(|| exchange.clone());
            runtime
                .block_on(open(&connector, role.connections, first))
                .map_err(failed)?
        }
    };
    say("ready")?;
    for line in io::stdin().lock().lines() {
        let line = line.map_err(failed)?;
        let mut words = line.split(' ').skip(1).map(str::parse::<u64>);
        let (Some(Ok(millis)), Some(Ok(rate))) = (words.next(), words.next()) else {
            return Err(Failure::Refused(format!("not a command: {line}")));
        };
        let until = Instant::now() + Duration::from_millis(millis);
        let count = match role.work {
            Work::Overload if rate > 0 => runtime.block_on(offer(role, until, rate)),
            Work::Accept | Work::Overload => runtime.block_on(in_turns(role, until)),
            work => runtime.block_on(async {
                let mut tasks = JoinSet::new();
                for stream in open.drain(..) {
                    tasks.spawn(ask(stream, exchange.clone(), until, work));
                }
                let mut total = 0;
                while let Some(ended) = tasks.join_next().await {
                    let (stream, count) = ended.map_err(io::Error::other)??;
                    open.push(stream);
                    total += count;
                }
                Ok(total)
            }),
        };
        say(&format!("done {}", count.map_err(failed)?))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .map_err(|error| Failure::io(&"standard output", error))
}

/// What is sent, and what comes back.
type Exchange = (Vec<u8>, Vec<u8>);

/// Connections, each of which has had its `first` exchange.
async fn open(
    connector: &Arc<Connector>,
    count: usize,
    first: Option<Arc<Exchange>>,
) -> io::Result<Vec<Box<dyn Bytes>>> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..OPENING.min(count - streams.len()) {
            let (connector, first) = (connector.clone(), first.clone());
            opening.spawn(async move {
                let mut stream = connector.connect().await?;
                if let Some(exchange) = first {
                    once(&mut stream, &exchange).await?;
                }
                Ok::<_, io::Error>(stream)
            });
        }
        while let Some(opened) = opening.join_next().await {
            streams.push(opened.map_err(io::Error::other)??);
        }
    }
    Ok(streams)
}

/// Sends a request, awaits its answer, and so on.
async fn ask(
    mut stream: Box<dyn Bytes>,
    exchange: Arc<Exchange>,
    until: Instant,
    work: Work,
) -> io::Result<(Box<dyn Bytes>, u64)> {
    let mut count = 0;
    while Instant::now() < until {
        if work == Work::Bulk {
            let (request, expected) = &*exchange;
            let mut answer = vec![0; expected.len()];
            // Nobody would read the answer to what is still being written.
            let (mut reader, mut writer) = tokio::io::split(&mut stream);
            let writing = async {
                writer.write_all(request).await?;
                writer.flush().await
            };
            tokio::try_join!(writing, reader.read_exact(&mut answer))?;
            check(&answer, expected)?;
        } else {
            once(&mut stream, &exchange).await?;
        }
        count += 1;
    }
    Ok((stream, count))
}

/// Sends a request, and awaits its answer.
async fn once(stream: &mut Box<dyn Bytes>, exchange: &Exchange) -> io::Result<()> {
    let (request, expected) = exchange;
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).await?;
    check(&answer, expected)
}

fn check(answer: &[u8], expected: &[u8]) -> io::Result<()> {
    if answer != expected {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a wrong answer"));
    }
    Ok(())
}

/// One connection after the other, as many at once as there are connections, until the time is over:
/// how many were served.
async fn in_turns(role: &LoadRole, until: Instant) -> io::Result<u64> {
    let mut tasks = JoinSet::new();
    for _ in 0..role.connections {
        let (address, work) = (role.address.clone(), role.work);
        tasks.spawn(async move {
            let mut count = 0;
            while Instant::now() < until {
                match work {
                    Work::Accept => {
                        come_and_go(&address).await?;
                        count += 1;
                    }
                    // What an overload has left in the backlog may cost one; it is not answered.
                    _ => count += u64::from(attempt(&address).await.is_ok()),
                }
            }
            Ok::<u64, io::Error>(count)
        });
    }
    let mut total = 0;
    while let Some(count) = tasks.join_next().await {
        total += count.map_err(io::Error::other)??;
    }
    Ok(total)
}

/// Connects, awaits the end, and goes.
async fn come_and_go(address: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    forget(&stream)?;
    // The server sends nothing: what comes is the end.
    stream.read(&mut [0; 1]).await.map(|_| ())
}

/// Connects, asks, and goes.
async fn attempt(address: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    forget(&stream)?;
    stream.write_all(&[1; REQUEST]).await?;
    stream.read_exact(&mut [0; REQUEST]).await?;
    Ok(())
}

/// Closing resets, so that no port waits for its time.
fn forget(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// Begins `rate` attempts a second, whatever comes of them. How many were answered in time.
async fn offer(role: &LoadRole, until: Instant, rate: u64) -> io::Result<u64> {
    let mut tasks = JoinSet::new();
    let (begun, mut offered, mut answered) = (Instant::now(), 0, 0);
    while Instant::now() < until {
        while let Some(ended) = tasks.try_join_next() {
            answered += u64::from(ended.map_err(io::Error::other)?);
        }
        let due = begun.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000;
        for _ in offered..due.min(offered + ATTEMPTS.saturating_sub(tasks.len()) as u128) {
            let address = role.address.clone();
            tasks.spawn(async move {
                let attempt = tokio::time::timeout(PATIENCE, attempt(&address)).await;
                matches!(attempt, Ok(Ok(())))
            });
        }
        offered = due;
        tokio::time::sleep(TICK).await;
    }
    // Answers that come after the time are not counted, and nobody waits for them.
    tasks.shutdown().await;
    Ok(answered)
}
