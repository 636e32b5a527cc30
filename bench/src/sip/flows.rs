//! Connections that ask now and then, and how long their answers take.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::message::{Request, answered};
use crate::Failure;
use crate::histogram::Histogram;

/// Connections.
const FLOWS: u32 = 100;
/// Between two requests of one.
const INTERVAL: Duration = Duration::from_millis(50);
/// An answer takes longer only where a server has stopped.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Flows(Vec<Flow>);

struct Flow {
    socket: TcpStream,
    request: Request,
    number: u64,
    due: Instant,
    asked: Option<Instant>,
    answer: Vec<u8>,
}

impl Flows {
    /// With requests spread over the interval.
    pub(super) fn connect(to: SocketAddr) -> Result<Self, Failure> {
        let begun = Instant::now();
        let flow = |place| {
            let socket = TcpStream::connect(to)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            Ok(Flow {
                socket,
                request: Request::new("TCP", true),
                number: 0,
                due: begun + INTERVAL * place / FLOWS,
                asked: None,
                answer: Vec::new(),
            })
        };
        let flows = (0..FLOWS).map(flow).collect::<Result<_, _>>();
        flows.map(Self).map_err(|e| Failure::io(&"flow", e))
    }

    /// Asks where it is time, and takes the answers that have come, with their times.
    pub(super) fn step(&mut self, mut times: Option<&mut Histogram>) -> Result<(), Failure> {
        for flow in &mut self.0 {
            let took = flow.step().map_err(|e| Failure::io(&"flow", e))?;
            if let (Some(took), Some(times)) = (took, &mut times) {
                times.record(took.as_nanos() as u64);
            }
        }
        Ok(())
    }
}

impl Flow {
    /// How long an answer took that has come.
    fn step(&mut self) -> std::io::Result<Option<Duration>> {
        let now = Instant::now();
        let Some(asked) = self.asked else {
            if now >= self.due {
                self.number += 1;
                // What a load has not asked in time is not made up for.
                self.due = (self.due + INTERVAL).max(now);
                self.asked = Some(now);
                self.socket.write_all(self.request.numbered(self.number))?;
            }
            return Ok(None);
        };
        let mut chunk = [0; 1024];
        match self.socket.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) if now - asked > PATIENCE => return Err(ErrorKind::TimedOut.into()),
            Err(_) => return Ok(None),
        }
        if !self.answer.ends_with(b"\r\n\r\n") {
            return Ok(None);
        }
        if answered(&self.answer) != Some(self.number) {
            return Err(std::io::Error::other("a wrong answer"));
        }
        self.answer.clear();
        self.asked = None;
        Ok(Some(asked.elapsed()))
    }
}
