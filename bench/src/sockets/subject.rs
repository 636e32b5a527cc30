//! A server under test and the load that belongs to it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::options::{Side, Transport, Work};
use crate::Failure;
use crate::process::{Pinned, Processors};

/// A child that talks in lines.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) process: Pinned,
    output: BufReader<ChildStdout>,
    name: &'static str,
}

/// On which processor a child runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Server,
    Generator,
}

impl Child {
    /// This program again, with other arguments.
    pub(crate) fn start(
        name: &'static str,
        place: Place,
        processors: Processors,
        arguments: &[String],
    ) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(|e| Failure::io(&"own path", e))?;
        let mut command = Command::new(own);
        Self::run(name, place, processors, command.args(arguments))
    }

    /// Any program that talks in lines.
    pub(crate) fn run(
        name: &'static str,
        place: Place,
        processors: Processors,
        command: &mut Command,
    ) -> Result<Self, Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = match place {
            Place::Server => processors.spawn(command),
            Place::Generator => processors.spawn_generator(command),
        };
        let mut process = started.map_err(|e| Failure::io(&name, e))?;
        let output = process.child.stdout.take();
        let output = output.ok_or_else(|| Failure::refused(name, &"no output"))?;
        Ok(Self {
            process,
            output: BufReader::new(output),
            name,
        })
    }

    /// The rest of its next line, which begins with `word`.
    pub(crate) fn line(&mut self, word: &str) -> Result<String, Failure> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.map_err(|e| Failure::io(&self.name, e))?;
        match line.trim_end().strip_prefix(word) {
            Some(rest) => Ok(rest.trim_start().to_owned()),
            None => Err(Failure::Server {
                server: self.name,
                detail: format!("answered {line:?}, not {word:?}"),
            }),
        }
    }

    fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.process.child.stdin.as_mut();
        let input = input.ok_or_else(|| Failure::refused(self.name, &"no input"))?;
        writeln!(input, "{line}").map_err(|e| Failure::io(&self.name, e))
    }
}

/// What is asked of a server, and by how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) transport: Transport,
    pub(crate) work: Work,
    /// Connections at once.
    pub(crate) connections: u32,
    /// Bytes of a request.
    pub(crate) size: u32,
    /// Bytes that the server's functions read at once.
    pub(crate) buffer: u32,
}

/// A server, one load, and what was measured of the two.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) server: Pinned,
    load: Child,
    /// Processor time for each unit of work, in nanoseconds, by round.
    pub(super) costs: Vec<f64>,
    /// Units of work a second, by round.
    pub(super) rates: Vec<f64>,
}

impl Subject {
    /// A server of this program.
    pub(super) fn start(
        side: Side,
        case: Case,
        upstream: Option<&str>,
        processors: Processors,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let (server, address) = serve(side, case, upstream, Place::Server, processors, folder)?;
        Self::with(server.process, &address, case, processors, folder)
    }

    /// Any server.
    pub(crate) fn with(
        server: Pinned,
        address: &str,
        case: Case,
        processors: Processors,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let arguments = [
            "socket-load".to_owned(),
            format!("--transport={}", case.transport.word()),
            format!("--work={}", case.work.word()),
            format!("--address={address}"),
            format!("--folder={}", folder.display()),
            format!("--connections={}", case.connections),
            format!("--size={}", case.size),
        ];
        let mut load = Child::start("load", Place::Generator, processors, &arguments)?;
        load.line("ready")?;
        Ok(Self {
            server,
            load,
            costs: Vec::new(),
            rates: Vec::new(),
        })
    }

    /// One round: how many units of work were done.
    pub(crate) fn round(&mut self, window: Duration, rate: u64) -> Result<u64, Failure> {
        let (cpu, begun) = (self.server.cpu_ns()?, Instant::now());
        self.load
            .tell(&format!("run {} {rate}", window.as_millis()))?;
        let count = self.load.line("done")?;
        let (cpu, took) = (self.server.cpu_ns()? - cpu, begun.elapsed());
        let count: u64 = count.parse().map_err(|_| Failure::Server {
            server: "load",
            detail: format!("answered {count:?}, not a number"),
        })?;
        #[expect(clippy::cast_precision_loss, reason = "seconds at most")]
        self.costs.push(cpu as f64 / count as f64);
        #[expect(clippy::cast_precision_loss, reason = "counts of seconds")]
        self.rates.push(count as f64 / took.as_secs_f64());
        Ok(count)
    }

    /// Forgets the rounds so far: they warmed the caches.
    pub(super) fn forget(&mut self) {
        self.costs.clear();
        self.rates.clear();
    }
}

/// A server of this program, and where it listens.
pub(super) fn serve(
    side: Side,
    case: Case,
    upstream: Option<&str>,
    place: Place,
    processors: Processors,
    folder: &Path,
) -> Result<(Child, String), Failure> {
    let mut arguments = vec![
        "socket-server".to_owned(),
        format!("--side={}", side.word()),
        format!("--transport={}", case.transport.word()),
        format!("--work={}", case.work.word()),
        format!("--folder={}", folder.display()),
        format!("--buffer={}", case.buffer),
    ];
    arguments.extend(upstream.map(|address| format!("--upstream={address}")));
    let mut child = Child::start(side.word(), place, processors, &arguments)?;
    let address = child.line("listening")?;
    Ok((child, address))
}
