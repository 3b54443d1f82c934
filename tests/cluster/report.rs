//! What was done to a cluster and what was found, as a text beside the runner's logs. One file for each test and kind of broker, so that
//! Flumen's and Apache Kafka's can be laid side by side (`tests/cluster/compare`, which reads these lines).

use crate::nodes::logs_dir;
use crate::support::broker::Kind;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub struct Report {
    file: String,
    started: Instant,
    lines: Vec<String>,
    /// How often each kind of fault was injected, over the whole run.
    injected: BTreeMap<String, u64>,
    ended_well: bool,
}

impl Report {
    pub fn new(name: &str, kind: Kind) -> Report {
        let kind = match kind {
            Kind::Flumen => "flumen",
            Kind::Kafka => "kafka",
        };
        Report {
            file: format!("cluster-{name}-{kind}.txt"),
            started: Instant::now(),
            lines: Vec::new(),
            injected: BTreeMap::new(),
            ended_well: false,
        }
    }

    /// One more line; it begins with the seconds since the load began.
    pub fn say(&mut self, what: &str) {
        let line = format!("{:8.2} s  {what}", self.started.elapsed().as_secs_f64());
        println!("{line}");
        self.lines.push(line);
    }

    /// A fault begins, or a step of a walk; `more`: on what it falls.
    pub fn inject(&mut self, what: &str, more: &str) {
        *self.injected.entry(what.to_owned()).or_default() += 1;
        self.say(&if more.is_empty() { what.to_owned() } else { format!("{what}: {more}") });
    }

    /// Something was so again after a time.
    pub fn took(&mut self, what: &str, time: Duration) {
        self.say(&format!("    {what} after {:.2} s", time.as_secs_f64()));
    }

    /// The last lines of a test that found nothing wrong.
    pub fn end(&mut self, checked: &str) {
        let injected = std::mem::take(&mut self.injected);
        let injected: Vec<String> = injected.iter().map(|(what, times)| format!("{times} x {what}")).collect();
        self.say(&format!("injected: {}", injected.join("; ")));
        self.say(&format!("checked: {checked}"));
        self.ended_well = true;
    }
}

impl Drop for Report {
    /// Also, and above all, when the test fails.
    fn drop(&mut self) {
        if !self.ended_well {
            self.say("FAILED");
        }
        let text = self.lines.join("\n") + "\n";
        std::fs::write(logs_dir().join(&self.file), text).unwrap_or_else(|error| eprintln!("{}: {error}", self.file));
    }
}
