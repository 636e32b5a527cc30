//! The load over TCP: connections with many requests under way on each.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::compare::{Count, Load};
use super::message::{Request, answered};
use crate::Failure;

/// Requests under way at once, over all connections.
const UNDER_WAY: u64 = 512;
/// An answer takes longer only where a server has stopped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections to one server, which stay open over the rounds.
pub(super) struct Streams {
    count: u64,
    open: Vec<Stream>,
    /// What is read at once.
    chunk: Vec<u8>,
}

struct Stream {
    socket: TcpStream,
    request: Request,
    /// What is to be written, and how much of it is.
    out: Vec<u8>,
    written: usize,
    /// Answers, and the beginning of one.
    read: Vec<u8>,
    sent: u64,
    done: u64,
}

impl Streams {
    /// With as many connections, made in the first round.
    pub(super) fn new(count: u64) -> Self {
        Self {
            count,
            open: Vec::new(),
            chunk: vec![0; 64 << 10],
        }
    }
}

impl Load for Streams {
    /// Never sleeps: no server pays for waking it.
    fn round(&mut self, to: SocketAddr, window: Duration) -> Result<Count, Failure> {
        while (self.open.len() as u64) < self.count {
            self.open.push(Stream::connect(to)?);
        }
        let depth = (UNDER_WAY / self.count).max(2);
        let total = |open: &[Stream]| Count {
            sent: open.iter().map(|one| one.sent).sum(),
            done: open.iter().map(|one| one.done).sum(),
        };
        let (before, begun) = (total(&self.open), Instant::now());
        loop {
            let over = begun.elapsed() >= window;
            for one in &mut self.open {
                if !over {
                    one.ask(depth);
                }
                one.write()?;
                one.read(&mut self.chunk)?;
            }
            let now = total(&self.open);
            if over && now.sent == now.done {
                return Ok(Count {
                    sent: now.sent - before.sent,
                    done: now.done - before.done,
                });
            }
            if begun.elapsed() > window + PATIENCE {
                return Err(Failure::Refused("answers do not come".to_owned()));
            }
        }
    }
}

impl Stream {
    fn connect(to: SocketAddr) -> Result<Self, Failure> {
        let failed = |error| Failure::io(&"stream client", error);
        let socket = TcpStream::connect(to).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            socket,
            request: Request::new("TCP", true),
            out: Vec::new(),
            written: 0,
            read: Vec::new(),
            sent: 0,
            done: 0,
        })
    }

    /// Fills what may be under way up again when half of it is done.
    fn ask(&mut self, depth: u64) {
        if self.written < self.out.len() || self.sent - self.done > depth / 2 {
            return;
        }
        self.out.clear();
        self.written = 0;
        while self.sent - self.done < depth {
            self.sent += 1;
            self.out.extend_from_slice(self.request.numbered(self.sent));
        }
    }

    fn write(&mut self) -> Result<(), Failure> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Failure::io(&"stream client", error)),
            }
        }
        Ok(())
    }

    /// Answers come in the order of the requests.
    fn read(&mut self, chunk: &mut [u8]) -> Result<(), Failure> {
        match self.socket.read(chunk) {
            Ok(0) => return Err(Failure::Refused("the server has closed".to_owned())),
            Ok(count) => self.read.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Failure::io(&"stream client", error)),
        }
        let mut start = 0;
        // No answer has a body.
        while let Some(end) = memchr::memmem::find(&self.read[start..], b"\r\n\r\n") {
            let message = &self.read[start..start + end];
            self.done += 1;
            if answered(message) != Some(self.done) {
                let text = String::from_utf8_lossy(message);
                return Err(Failure::Refused(format!(
                    "no answer to {}: {text}",
                    self.done
                )));
            }
            start += end + 4;
        }
        self.read.drain(..start);
        Ok(())
    }
}
