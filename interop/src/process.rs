//! Child processes: their output as events, their end by id and by a deadline.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// How long a process may take to end after SIGTERM before it is killed.
const END: Duration = Duration::from_secs(5);

/// A running child process whose standard output and error are collected line by line.
///
/// Dropping it ends it: SIGTERM, a bounded wait, then SIGKILL. It is always waited for.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    status: Option<ExitStatus>,
}

/// What a process that has ended left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it wrote to standard output and error, in the order it arrived.
    pub output: String,
}

#[derive(Debug)]
struct Output {
    collected: Mutex<Collected>,
    changed: Condvar,
}

#[derive(Debug)]
struct Collected {
    lines: Vec<String>,
    /// Streams not yet at their end. At zero the process is ending: none of the programs run here
    /// closes its output and lives on.
    open: u8,
}

impl Process {
    /// Starts `command`'s program with its arguments and no standard input. Panics when it can't be
    /// started.
    ///
    /// The kernel kills it when the thread that called this is gone, so that nothing outlives a test
    /// run that is killed itself and drops nothing.
    #[must_use]
    pub fn spawn(command: &Command) -> Self {
        Self::start(command, Stdio::null())
    }

    /// As [`spawn`](Self::spawn), with `input` to read, then its end. At most 4 KiB, which a pipe
    /// takes at once.
    #[must_use]
    pub fn spawn_with_input(command: &Command, input: &[u8]) -> Self {
        assert!(input.len() <= 4096, "the pipe must take it at once");
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(input).expect("the pipe has room");
        Self::start(command, reader.into())
    }

    fn start(command: &Command, input: Stdio) -> Self {
        let name = format!("{command:?}");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} did not start: {error}"));
        let output = Arc::new(Output {
            collected: Mutex::new(Collected {
                lines: Vec::new(),
                open: 2,
            }),
            changed: Condvar::new(),
        });
        collect(child.stdout.take().expect("stdout is piped"), &output);
        collect(child.stderr.take().expect("stderr is piped"), &output);
        Self {
            name,
            child,
            output,
            status: None,
        }
    }

    /// Waits for the first line that satisfies `wanted`, including lines already written, and
    /// returns it. Panics with the output when the process ends or `deadline` passes before.
    pub fn wait_for_line(&self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let mut seen = 0;
        let mut found = None;
        let collected = self.output.wait_while(deadline, |collected| {
            found = collected.lines[seen..]
                .iter()
                .find(|line| wanted(line))
                .cloned();
            seen = collected.lines.len();
            found.is_none() && collected.open > 0
        });
        drop(collected);
        found.unwrap_or_else(|| {
            panic!(
                "{} did not write the expected line:\n{}",
                self.name,
                self.output()
            )
        })
    }

    /// Waits until the process ends. Panics with the output when `deadline` passes before; the
    /// process is ended then, by the drop.
    #[must_use]
    pub fn finish(mut self, deadline: Duration) -> Finished {
        let ended = self
            .output
            .wait_while(deadline, |collected| collected.open > 0)
            .open
            == 0;
        assert!(
            ended,
            "{} still ran after {deadline:?}:\n{}",
            self.name,
            self.output()
        );
        let status = self.child.wait().expect("a child can be waited for");
        self.status = Some(status);
        Finished {
            status,
            output: self.output(),
        }
    }

    /// Sends the signal named `signal` (`TERM`, `HUP`, …) to this process and no other.
    ///
    /// The child has not been waited for, so that its id can't have passed to another process.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("/bin/sh")
            .args([
                "-c",
                r#"kill -s "$0" "$1""#,
                signal,
                &self.child.id().to_string(),
            ])
            .stderr(Stdio::null())
            .status();
        assert!(sent.is_ok(), "/bin/sh did not start: {sent:?}");
    }

    /// Everything written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.lock().lines.concat()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_some() {
            return;
        }
        self.signal("TERM");
        let open = self
            .output
            .wait_while(END, |collected| collected.open > 0)
            .open;
        if open > 0 {
            // Fails only for a child that has been waited for.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Output {
    /// Lines are only ever appended whole, so that what a panicking test left is still good.
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.collected
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Blocks while `waiting` holds, until `deadline` at most.
    fn wait_while(
        &self,
        deadline: Duration,
        mut waiting: impl FnMut(&Collected) -> bool,
    ) -> MutexGuard<'_, Collected> {
        self.changed
            .wait_timeout_while(self.lock(), deadline, |collected| waiting(collected))
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0
    }
}

/// Reads `stream` to its end on a thread of its own. Bytes that are not UTF-8 are replaced.
fn collect(stream: impl Read + Send + 'static, output: &Arc<Output>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            output
                .lock()
                .lines
                .push(String::from_utf8_lossy(&line).into_owned());
            output.changed.notify_all();
            line.clear();
        }
        output.lock().open -= 1;
        output.changed.notify_all();
    });
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Process {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Process::spawn(&command)
    }

    #[test]
    fn collects_both_streams_and_the_status() {
        let finished = shell("echo out; echo err >&2; exit 3").finish(SOON);
        assert_eq!(finished.status.code(), Some(3));
        assert!(finished.output.contains("out\n") && finished.output.contains("err\n"));
    }

    #[test]
    fn input_is_read_to_its_end() {
        let finished = Process::spawn_with_input(&Command::new("cat"), b"in").finish(SOON);
        assert_eq!(finished.output, "in");
    }

    #[test]
    fn a_line_is_an_event() {
        let process = shell("echo starting; echo ready 7; exec tail -f /dev/null");
        assert_eq!(
            process.wait_for_line(SOON, |line| line.contains("ready")),
            "ready 7\n"
        );
    }

    #[test]
    #[should_panic(expected = "no such luck")]
    fn a_process_that_ends_first_is_reported_with_its_output() {
        shell("echo no such luck").wait_for_line(SOON, |line| line.contains("ready"));
    }

    #[test]
    #[should_panic(expected = "still ran")]
    fn a_deadline_ends_the_wait() {
        let _ = shell("exec tail -f /dev/null").finish(Duration::from_millis(1));
    }

    #[test]
    fn nothing_outlives_the_thread_that_started_it() {
        let starter = thread::spawn(|| {
            let process = shell("echo up; exec tail -f /dev/null");
            process.wait_for_line(SOON, |line| line == "up\n");
            process
        });
        let finished = starter.join().unwrap().finish(SOON);
        assert_eq!(finished.status.signal(), Some(9), "{}", finished.output);
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed_on_drop() {
        let process = shell("trap '' TERM; echo $$; exec tail -f /dev/null");
        let id = process.wait_for_line(SOON, |_| true);
        drop(process);
        assert!(!std::path::Path::new("/proc").join(id.trim()).exists());
    }
}
