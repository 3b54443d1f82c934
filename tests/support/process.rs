//! Child processes with a time limit, and children that end when the test does.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The test tier that runs, from the runner: how many rounds a test may afford.
pub fn is_long() -> bool {
    std::env::var("FLUMEN_TEST_TIER").is_ok_and(|tier| tier == "long")
}

pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Runs a command to its end with `input` on its standard input.
///
/// # Panics
/// When it takes longer than `limit`; it is killed then.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Finished {
    let name = shown(command);
    end_with_parent(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let status = std::thread::scope(|scope| {
        // A child that fails early closes its input; what it says on its error output is the reason worth showing.
        scope.spawn(move || stdin.write_all(input).ok());
        let out = scope.spawn(move || bytes(&mut stdout));
        let err = scope.spawn(move || String::from_utf8_lossy(&bytes(&mut stderr)).into_owned());
        let status = wait(&mut child, limit);
        (status, out.join().unwrap(), err.join().unwrap())
    });
    let (status, stdout, stderr) = status;
    let Some(status) = status else {
        panic!("killed after {limit:?}: {name}\n{}\n{}", tail(&String::from_utf8_lossy(&stdout)), tail(&stderr));
    };
    Finished { status, stdout, stderr }
}

/// As [`run`], for a command that must succeed; its standard output.
pub fn run_ok(command: &mut Command, input: &[u8], limit: Duration) -> Vec<u8> {
    let finished = run(command, input, limit);
    let Finished { status, stdout, stderr } = &finished;
    assert!(status.success(), "{status:?}: {}\n{}\n{}", shown(command), tail(&String::from_utf8_lossy(stdout)), tail(stderr));
    finished.stdout
}

/// A command line, as much of it as helps.
fn shown(command: &Command) -> String {
    format!("{command:?}").chars().take(2000).collect()
}

pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn bytes(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).ok();
    bytes
}

/// Waits for the child; kills it when the time is up and says `None`.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return Some(status);
        }
        if Instant::now() > deadline {
            child.kill().ok();
            child.wait().ok();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The kernel kills the child when the thread that started it ends, also when a test is killed and no destructor runs.
fn end_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches nothing of ours.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
}

/// Starts a child that may outlive the thread that asked for it but not the test process: a thread of its own keeps it.
pub fn spawn_kept(mut command: Command) -> Child {
    end_with_parent(&mut command);
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        send.send(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))).unwrap();
        loop {
            std::thread::park();
        }
    });
    receive.recv().expect("the child was started")
}

/// A program that runs beside a test until it is told to end; what it says is kept.
pub struct Running {
    name: String,
    child: Child,
    said: tempfile::NamedTempFile,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let name = shown(&command);
        let said = tempfile::NamedTempFile::new().expect("a temporary file");
        let out = said.reopen().expect("the temporary file");
        command.stdin(Stdio::null()).stdout(out.try_clone().expect("another descriptor")).stderr(out);
        Running { name, child: spawn_kept(command), said }
    }

    /// SIGTERM; all that it said, on both outputs.
    ///
    /// # Panics
    /// When it had ended before, or does not end in time.
    pub fn end(mut self, limit: Duration) -> String {
        let early = self.child.try_wait().expect("the child can be waited for");
        let said = |said: &tempfile::NamedTempFile| std::fs::read_to_string(said.path()).expect("text");
        assert!(early.is_none(), "{} has ended by itself ({early:?}):\n{}", self.name, tail(&said(&self.said)));
        signal(&self.child, libc::SIGTERM);
        assert!(wait(&mut self.child, limit).is_some(), "{} does not end", self.name);
        said(&self.said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn signal(child: &Child, signal: i32) {
    // SAFETY: a signal to our own child, which has not been waited for yet, so that its id is still its own.
    unsafe { libc::kill(i32::try_from(child.id()).unwrap(), signal) };
}
