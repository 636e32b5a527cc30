//! Children on a processor of their own, and what the kernel says about their cost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

/// Nanoseconds since the first call in this process: the one clock of a measurement.
pub(crate) fn now_ns() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// The processors of a measurement: the servers share one, the generator has the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    server: usize,
    generator: usize,
}

impl Processors {
    /// Takes the first two processors this process may run on; with one only, all share it, and a
    /// note says so.
    pub(crate) fn choose() -> Self {
        let allowed = wharf_udp::allowed_cpus();
        let server = allowed.first().copied().unwrap_or(0);
        let generator = allowed.get(1).copied().unwrap_or(server);
        if server == generator {
            println!("note: one processor only; servers and generator share it");
        }
        Self { server, generator }
    }

    /// Pins the calling thread to the generator's processor.
    pub(crate) fn pin_generator(self) -> io::Result<()> {
        wharf_udp::pin_current_thread(self.generator)
    }

    /// Starts a child on the servers' processor: a child inherits the affinity of the thread that
    /// starts it.
    pub(crate) fn spawn(self, command: &mut Command) -> io::Result<Pinned> {
        wharf_udp::pin_current_thread(self.server)?;
        let child = command.spawn();
        wharf_udp::pin_current_thread(self.generator)?;
        Ok(Pinned { child: child? })
    }

    /// Starts a child on the generator's processor, where the calling thread is.
    pub(crate) fn spawn_generator(self, command: &mut Command) -> io::Result<Pinned> {
        self.pin_generator()?;
        let child = command.spawn()?;
        Ok(Pinned { child })
    }
}

/// A child process that ends with this value, and takes those along that it has started.
#[derive(Debug)]
pub(crate) struct Pinned {
    /// The child, for its standard streams.
    pub(crate) child: Child,
}

impl Pinned {
    /// Processor time of all threads, and of the processes that they have started, user and system, in
    /// nanoseconds, from the scheduler's own account (`/proc/PID/task/*/schedstat`; the clock ticks of
    /// `stat` are too coarse).
    pub(crate) fn cpu_ns(&self) -> Result<u64, Failure> {
        let mut total = 0;
        for process in family(self.child.id())? {
            for task in tasks(process)? {
                let text = read(&task.join("schedstat"))?;
                let own = text.split_whitespace().next();
                total += own.and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Ok(total)
    }

    /// Bytes of memory that belong to this process alone.
    pub(crate) fn private_bytes(&self) -> Result<u64, Failure> {
        private_bytes(&self.child.id().to_string())
    }

    /// Whether the child has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let started = family(self.child.id()).unwrap_or_default();
        // It may have ended already, and nobody waits for its exit code.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for process in started.into_iter().skip(1) {
            if let Some(process) = Pid::from_raw(process.cast_signed()) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
    }
}

/// A process, and those that it has started, and so on.
fn family(process: u32) -> Result<Vec<u32>, Failure> {
    let mut all = vec![process];
    let mut next = 0;
    while let Some(&process) = all.get(next) {
        for task in tasks(process)? {
            let children = read(&task.join("children"))?;
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    Ok(all)
}

/// The folders of a process's threads.
fn tasks(process: u32) -> Result<Vec<PathBuf>, Failure> {
    let path = format!("/proc/{process}/task");
    fs::read_dir(&path)
        .and_then(|tasks| tasks.map(|task| Ok(task?.path())).collect())
        .map_err(|e| Failure::io(&path, e))
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure::io(&path.display(), e))
}

/// Bytes of private memory (`Private_Clean` and `Private_Dirty` of `smaps_rollup`) of a process
/// named by its id or `self`.
pub(crate) fn private_bytes(process: &str) -> Result<u64, Failure> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|e| Failure::io(&path, e))?;
    Ok(sum_private(&text))
}

fn sum_private(rollup: &str) -> u64 {
    rollup
        .lines()
        .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum::<u64>()
        * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_clean_and_dirty_pages() {
        let rollup = "00400000-7ffe rollup\nRss: 100 kB\nShared_Clean: 40 kB\nPrivate_Clean:  3 kB\nPrivate_Dirty:  5 kB\n";
        assert_eq!(sum_private(rollup), 8 * 1024);
        assert!(private_bytes("self").expect("own memory is readable") > 0);
    }

    #[test]
    fn processor_time_of_a_child_grows_with_its_work() {
        let mut child = Command::new("sh")
            .args([
                "-c",
                "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; read x",
            ])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .map(|child| Pinned { child })
            .expect("sh starts");
        let mut line = String::new();
        let stdout = child.child.stdout.as_mut().expect("piped");
        io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut line).expect("sh answers");
        assert!(child.cpu_ns().expect("schedstat is readable") > 100_000);
        assert!(!child.has_ended());
    }
}
