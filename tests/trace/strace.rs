//! `strace` on a running broker: which calls it made, when, on which thread and on which file.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::process;

/// A system call that returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    /// What stands between the parentheses, descriptors with their paths.
    pub arguments: String,
    pub result: i64,
    /// Microseconds since the epoch.
    pub entered: u64,
    pub returned: u64,
}

pub struct Strace {
    child: Child,
    output: tempfile::NamedTempFile,
}

impl Strace {
    /// Attaches to all threads of a process; returns when it has.
    pub fn attach(pid: u32, calls: &str) -> Strace {
        let output = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("strace");
        command
            .args(["-f", "-yy", "-ttt", "-T", "-e", &format!("trace={calls}"), "-p", &pid.to_string(), "-o"])
            .arg(output.path());
        command.stderr(Stdio::piped());
        let mut child = process::spawn_kept(command);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "strace did not attach: {line}");
        std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
        // One line says that it is attached, to all threads; the filter is set a moment later.
        std::thread::sleep(Duration::from_millis(300));
        Strace { child, output }
    }

    /// Detaches; the calls in the order in which they returned.
    pub fn detach(mut self) -> Vec<Call> {
        process::signal(&self.child, libc::SIGINT);
        assert!(process::wait(&mut self.child, Duration::from_secs(20)).is_some(), "strace ends");
        parse(&std::fs::read_to_string(self.output.path()).unwrap())
    }
}

/// Lines are `THREAD SECONDS.MICROS name(arguments) = result <seconds>`; a call that another thread's line interrupted is written as
/// `name(arguments <unfinished ...>` and later `<... name resumed>arguments) = result <seconds>`.
pub fn parse(text: &str) -> Vec<Call> {
    let mut unfinished: BTreeMap<u32, (u64, String)> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let Some((time, rest)) = rest.trim_start().split_once(' ') else { continue };
        let (Ok(thread), Some(time)) = (thread.parse::<u32>(), micros(time)) else { continue };
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, (time, begun.to_owned()));
            continue;
        }
        let (entered, whole) = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => {
                let Some((entered, begun)) = unfinished.remove(&thread) else { continue };
                (entered, format!("{begun}{end}"))
            }
            None => (time, rest.to_owned()),
        };
        calls.extend(call(thread, entered, &whole));
    }
    calls
}

fn call(thread: u32, entered: u64, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, rest) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once(')'))?;
    let result = rest.trim_start_matches([' ', '=']).split(' ').next()?.parse().ok()?;
    let duration = micros(rest.rsplit_once('<')?.1.strip_suffix('>')?)?;
    Some(Call { thread, name: name.to_owned(), arguments: arguments.to_owned(), result, entered, returned: entered + duration })
}

fn micros(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.')?;
    (fraction.len() == 6).then_some(())?;
    Some(whole.parse::<u64>().ok()? * 1_000_000 + fraction.parse::<u64>().ok()?)
}

#[test]
fn whole_and_interrupted_calls_are_read() {
    let text = "12 1000.000010 fdatasync(5</d/0.log>) = 0 <0.000200>\n\
                13 1000.000020 sendfile(7<socket:[1]>, 8</d/0.log>, [0] => [10], 10 <unfinished ...>\n\
                12 1000.000300 futex(0x7f, FUTEX_WAKE, 1) = -1 EAGAIN (Resource temporarily unavailable) <0.000001>\n\
                13 1000.000400 <... sendfile resumed>) = 10 <0.000380>\n\
                12 1000.000500 +++ exited with 0 +++\n";
    let calls = parse(text);
    let brief: Vec<(u32, &str, i64, u64, u64)> =
        calls.iter().map(|call| (call.thread, call.name.as_str(), call.result, call.entered, call.returned)).collect();
    assert_eq!(
        brief,
        [
            (12, "fdatasync", 0, 1_000_000_010, 1_000_000_210),
            (12, "futex", -1, 1_000_000_300, 1_000_000_301),
            (13, "sendfile", 10, 1_000_000_020, 1_000_000_400),
        ]
    );
    assert_eq!(calls[0].arguments, "5</d/0.log>");
}
