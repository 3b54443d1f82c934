//! Members of consumer groups: foreign clients that run until they are told to leave, or are killed.
//!
//! ```text
//! {"do":"member","group":G,"name":CLIENT_ID,"topics":[T...],"instance":I|null,"session_timeout_ms":MS}
//!     -> {"assigned":[[T,P]...]}, {"revoked":[[T,P]...]}     as the client's listener is told
//!        {"read":[T,P,OFFSET]}                               a record whose offset has been committed since
//!        {"left":true}                                       after the end of standard input
//! ```

use super::peers::Peer;
use super::process;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The least that brokers allow by default.
pub const SESSION_TIMEOUT_MS: u64 = 6_000;
const LEAVE_LIMIT: Duration = Duration::from_secs(30);

pub type Place = (String, i32);

#[derive(Default)]
struct Told {
    owned: BTreeSet<Place>,
    read: Vec<(Place, i64)>,
    rebalances: usize,
    left: bool,
    ended: bool,
}

pub struct Member {
    pub name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    told: Arc<Mutex<Told>>,
}

impl Member {
    /// Starts a client that joins `group` and reads `topic`.
    pub fn join(peer: Peer, bootstrap: &str, group: &str, name: &str, topic: &str, instance: Option<&str>) -> Member {
        let mut command = peer.command();
        command.arg(bootstrap).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = process::spawn_kept(command);
        let mut stdin = child.stdin.take().unwrap();
        let task = json!({
            "do": "member", "group": group, "name": name, "topics": [topic], "instance": instance,
            "session_timeout_ms": SESSION_TIMEOUT_MS,
        });
        writeln!(stdin, "{task}").expect("the client takes its task");
        let told = Arc::new(Mutex::new(Told::default()));
        let (lines, listener) = (BufReader::new(child.stdout.take().unwrap()), told.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                listener.lock().unwrap().take(&line);
            }
            listener.lock().unwrap().ended = true;
        });
        Member { name: name.to_owned(), child, stdin: Some(stdin), told }
    }

    /// The partitions that it has now.
    pub fn owned(&self) -> BTreeSet<Place> {
        self.told.lock().unwrap().owned.clone()
    }

    /// Everything that it has read and committed.
    pub fn read(&self) -> Vec<(Place, i64)> {
        self.told.lock().unwrap().read.clone()
    }

    /// How often it was given partitions.
    pub fn rebalances(&self) -> usize {
        self.told.lock().unwrap().rebalances
    }

    fn has_ended(&self) -> bool {
        self.told.lock().unwrap().ended
    }

    /// SIGKILL: the group finds out by itself.
    pub fn kill(mut self) -> Vec<(Place, i64)> {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("it is gone");
        self.read()
    }

    /// Leaves the group in good order; what it has read.
    pub fn leave(mut self) -> Vec<(Place, i64)> {
        drop(self.stdin.take());
        let status = process::wait(&mut self.child, LEAVE_LIMIT);
        assert!(status.is_some_and(|status| status.success()), "{} left with {status:?}", self.name);
        let told = self.told.clone();
        wait_until("its last line", LEAVE_LIMIT, || told.lock().unwrap().ended);
        assert!(told.lock().unwrap().left, "{} said that it left", self.name);
        self.read()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Told {
    fn take(&mut self, line: &Value) {
        let places = |list: &Value| -> Vec<Place> { list.as_array().unwrap().iter().map(place).collect() };
        if let Some(list) = line.get("assigned") {
            self.owned.extend(places(list));
            self.rebalances += 1;
        } else if let Some(list) = line.get("revoked") {
            places(list).iter().for_each(|place| {
                self.owned.remove(place);
            });
        } else if let Some(read) = line.get("read") {
            self.read.push((place(read), read[2].as_i64().unwrap()));
        } else {
            assert_eq!(line, &json!({"left": true}), "a line that members say");
            self.left = true;
        }
    }
}

fn place(list: &Value) -> Place {
    (list[0].as_str().unwrap().to_owned(), i32::try_from(list[1].as_i64().unwrap()).unwrap())
}

/// Waits until something is so.
///
/// # Panics
/// When it is not so in time.
pub fn wait_until(what: &str, limit: Duration, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !so() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until each of the partitions 0 to `partitions` of `topic` is owned by exactly one of the members, and none of them is idle.
pub fn wait_until_shared(members: &[Member], topic: &str, partitions: i32, limit: Duration) {
    let all: Vec<Place> = (0..partitions).map(|partition| (topic.to_owned(), partition)).collect();
    let mut seen = String::new();
    let deadline = Instant::now() + limit;
    loop {
        let owned: Vec<BTreeSet<Place>> = members.iter().map(Member::owned).collect();
        let mut sorted: Vec<Place> = owned.iter().flatten().cloned().collect();
        sorted.sort();
        if sorted == all && owned.iter().all(|owned| !owned.is_empty()) {
            return;
        }
        for member in members {
            assert!(!member.has_ended(), "{} has ended", member.name);
        }
        seen.clear();
        for (member, owned) in members.iter().zip(&owned) {
            seen.push_str(&format!("{} {owned:?}\n", member.name));
        }
        assert!(Instant::now() < deadline, "waited {limit:?} until {} members share {topic}:\n{seen}", members.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}
