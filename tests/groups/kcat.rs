//! kcat as a member of a group (`-G`). It commits on its own, every few seconds, so that what it read may be read again.

use super::{LIMIT, PARTITIONS, broker, create, produce};
use crate::support::broker::Broker;
use crate::support::members::wait_until;
use crate::support::process;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

const TOPIC: &str = "shared-kcat";

/// What it has now, and what it has read.
#[derive(Default)]
struct Told {
    owned: BTreeSet<i32>,
    read: BTreeSet<(i32, i64)>,
}

struct Kcat {
    child: Child,
    told: Arc<Mutex<Told>>,
}

impl Kcat {
    fn join(broker: &Broker) -> Kcat {
        let mut command = Command::new("kcat");
        command.args(["-b", &broker.bootstrap(), "-G", "kcat", "-u", "-f", "%p %o\\n"]);
        let settings = ["session.timeout.ms=6000", "heartbeat.interval.ms=500", "auto.offset.reset=earliest"];
        command.args(settings.iter().flat_map(|setting| ["-X", setting])).arg(TOPIC);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::spawn_kept(command);
        let told = Arc::new(Mutex::new(Told::default()));
        listen(child.stdout.take().unwrap(), told.clone(), |told, line| {
            let (partition, offset) = line.split_once(' ').expect("partition and offset");
            told.read.insert((partition.parse().unwrap(), offset.parse().unwrap()));
        });
        // "% Group kcat rebalanced (memberid ...): assigned: shared-kcat [0], shared-kcat [1]"
        listen(child.stderr.take().unwrap(), told.clone(), |told, line| {
            let numbers = |list: &str| -> Vec<i32> { list.split(['[', ']']).filter_map(|number| number.parse().ok()).collect() };
            if let Some((_, list)) = line.split_once("assigned: ") {
                told.owned.extend(numbers(list));
            } else if let Some((_, list)) = line.split_once("revoked: ") {
                let revoked = numbers(list);
                told.owned.retain(|number| !revoked.contains(number));
            }
        });
        Kcat { child, told }
    }
}

impl Drop for Kcat {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn listen(from: impl Read + Send + 'static, told: Arc<Mutex<Told>>, take: fn(&mut Told, &str)) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            take(&mut told.lock().unwrap(), &line);
        }
    });
}

fn wait_until_shared(members: &[Kcat]) {
    wait_until(&format!("{} members to share the topic", members.len()), LIMIT, || {
        let owned: Vec<BTreeSet<i32>> = members.iter().map(|member| member.told.lock().unwrap().owned.clone()).collect();
        let mut all: Vec<i32> = owned.iter().flatten().copied().collect();
        all.sort_unstable();
        all == (0..PARTITIONS).collect::<Vec<_>>() && owned.iter().all(|owned| !owned.is_empty())
    });
}

fn wait_until_read(members: &[Kcat], before: &BTreeSet<(i32, i64)>, count: i64) {
    wait_until(&format!("{count} records of each partition to be read"), LIMIT, || {
        let mut read = before.clone();
        members.iter().for_each(|member| read.extend(&member.told.lock().unwrap().read));
        (0..PARTITIONS).all(|partition| (0..count).all(|offset| read.contains(&(partition, offset))))
    });
}

#[test]
fn kcat_members_share_a_topic() {
    let broker = broker();
    create(&broker, TOPIC, PARTITIONS);
    produce(&broker, TOPIC, PARTITIONS, 100);
    let mut members: Vec<Kcat> = (0..4).map(|_| Kcat::join(&broker)).collect();
    wait_until_shared(&members);
    wait_until_read(&members, &BTreeSet::new(), 100);

    let mut killed = members.remove(0);
    killed.child.kill().unwrap();
    let mut before = killed.told.lock().unwrap().read.clone();
    wait_until_shared(&members);
    produce(&broker, TOPIC, PARTITIONS, 50);
    wait_until_read(&members, &before, 150);

    let mut left = members.remove(0);
    process::signal(&left.child, libc::SIGTERM);
    assert!(process::wait(&mut left.child, LIMIT).is_some_and(|status| status.success()), "it leaves in good order");
    before.extend(&left.told.lock().unwrap().read);
    wait_until_shared(&members);
    produce(&broker, TOPIC, PARTITIONS, 50);
    wait_until_read(&members, &before, 200);
}
