//! What of this machine is good or bad for a broker: kernel, limits, file systems, memory, processors, clock. Read once, before any core
//! runs, from what the kernel tells in `/proc` and `/sys`.
//!
//! Something that is not told (a container hides much) is no finding: what cannot be seen is not complained about.

use super::machine::{affinity_cores, limit};
use super::{Topology, check_machine};
use std::fs::read_to_string;
use std::path::Path;

/// How bad something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// As it should be.
    Good,
    /// It costs speed, or durability in a case that the operator may accept.
    Poor,
    /// The broker does not start, or acked records could be lost.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if nothing.
    pub advice: String,
}

fn good(what: &str, found: impl Into<String>) -> Finding {
    Finding { severity: Severity::Good, what: what.to_owned(), found: found.into(), advice: String::new() }
}

fn poor(what: &str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { severity: Severity::Poor, advice: advice.into(), ..good(what, found) }
}

fn bad(what: &str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { severity: Severity::Bad, ..poor(what, found, advice) }
}

/// Open files below which a busy broker closes and opens its segments all the time.
const COMFORTABLE_NOFILE: u64 = 100_000;
/// Free share of a file system below which it is time to do something, in percent.
const LEAST_FREE_PERCENT: u64 = 5;

/// Looks at the machine for a broker of so many cores with these log dirs.
pub fn survey(topology: &Topology, log_dirs: &[std::path::PathBuf]) -> Vec<Finding> {
    let mut findings = vec![match check_machine(topology) {
        Ok(()) => good("io_uring and limits", "allowed"),
        Err(error) => bad("io_uring and limits", "refused", error.0),
    }];
    let text = |path: &str| read_to_string(path).ok().map(|text| text.trim().to_owned());
    findings.extend(text("/proc/sys/kernel/osrelease").map(|release| kernel(&release)));
    findings.extend(limit(libc::RLIMIT_NOFILE).ok().map(|limit| open_files(limit.rlim_max)));
    findings.extend(
        text("/proc/meminfo").zip(text("/proc/sys/vm/swappiness")).map(|(memory, swappiness)| swap(&memory, &swappiness)),
    );
    findings.extend(text("/sys/kernel/mm/transparent_hugepage/enabled").map(|enabled| huge_pages(&enabled)));
    findings.extend(text("/sys/devices/system/clocksource/clocksource0/current_clocksource").map(|source| clock_source(&source)));
    findings.extend(clock_is_synchronised().map(synchronisation));
    findings.extend(text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").map(|governor| self::governor(&governor)));
    findings.extend(text("/sys/fs/cgroup/cpu.max").and_then(|quota| processor_quota(&quota, topology.cores)));
    if topology.cores > affinity_cores() {
        let found = format!("{} cores on {} processors", topology.cores, affinity_cores());
        findings.push(bad("flumen.cores", found, "at most one core a processor"));
    }
    let mounts = text("/proc/self/mountinfo").unwrap_or_default();
    for dir in log_dirs {
        findings.extend(log_dir(dir, &mounts));
    }
    findings
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version {
        (0, _) => good("kernel", release),
        version if version < (5, 15) => bad("kernel", release, "Linux 5.15 or newer: older rings lose events"),
        version if version < (6, 1) => poor("kernel", release, "Linux 6.1 or newer: a core's ring costs less there"),
        _ => good("kernel", release),
    }
}

fn open_files(hard: u64) -> Finding {
    let advice = "one for each connection and open segment: `LimitNOFILE=1000000` in the systemd unit, or `ulimit -Hn 1000000`";
    match hard < COMFORTABLE_NOFILE {
        true => poor("open files", hard.to_string(), advice),
        false => good("open files", hard.to_string()),
    }
}

fn swap(meminfo: &str, swappiness: &str) -> Finding {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("SwapTotal:")).unwrap_or("0 kB").trim();
    if total == "0 kB" {
        return good("swap", "none");
    }
    let found = format!("{total}, vm.swappiness {swappiness}");
    match swappiness.parse::<u32>().is_ok_and(|swappiness| swappiness <= 1) {
        true => good("swap", found),
        false => {
            poor("swap", found, "a core that waits for swap stops everybody on it: `swapoff -a`, or `sysctl -w vm.swappiness=1`")
        }
    }
}

fn huge_pages(enabled: &str) -> Finding {
    let chosen = enabled.split(['[', ']']).nth(1).unwrap_or(enabled);
    let advice = "khugepaged takes a processor for milliseconds: `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`";
    match chosen == "always" {
        true => poor("transparent huge pages", chosen, advice),
        false => good("transparent huge pages", chosen),
    }
}

fn clock_source(source: &str) -> Finding {
    let advice = "reading the clock is a system call with it, thousands of times a second: boot with `clocksource=tsc` if the processor's is stable";
    match ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"].contains(&source) {
        true => good("clock source", source),
        false => poor("clock source", source, advice),
    }
}

/// Whether something keeps the clock right; `None` if the kernel does not say.
fn clock_is_synchronised() -> Option<bool> {
    // SAFETY: plain data; without modes the call only fills it.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    (state >= 0).then_some(state != libc::TIME_ERROR)
}

fn synchronisation(is_synchronised: bool) -> Finding {
    let advice = "retention, timestamps and look-ups by time go by this clock: run chrony or systemd-timesyncd";
    match is_synchronised {
        true => good("clock", "synchronised"),
        false => poor("clock", "not synchronised", advice),
    }
}

fn governor(governor: &str) -> Finding {
    let advice = "a processor that has slept wakes up slow: `cpupower frequency-set -g performance`";
    match ["performance", "schedutil"].contains(&governor) {
        true => good("processor governor", governor),
        false => poor("processor governor", governor, advice),
    }
}

/// A quota stops all threads at once when it is used up.
fn processor_quota(cpu_max: &str, cores: usize) -> Option<Finding> {
    let (quota, period) = cpu_max.split_once(' ')?;
    let Ok(quota) = quota.parse::<u64>() else { return Some(good("processor quota", "none")) };
    let processors = quota as f64 / period.trim().parse::<u64>().ok().filter(|&period| period > 0)? as f64;
    let found = format!("{processors:.1} processors for {cores} cores");
    Some(match processors < cores as f64 {
        true => poor("processor quota", found, "the kernel stops the broker when it is used up: raise it, or set flumen.cores"),
        false => good("processor quota", found),
    })
}

/// A file system as the kernel lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mount {
    at: String,
    kind: String,
    /// Of the mount and of the file system, comma-separated.
    options: String,
}

/// The line of `/proc/self/mountinfo` that a path lies on: the longest mount point that it begins with, the last of equals.
fn mount_of(path: &Path, mountinfo: &str) -> Option<Mount> {
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let (mut left, mut right) = (left.split(' '), right.split(' '));
        let (at, own) = (left.nth(4)?.replace("\\040", " "), left.next()?.to_owned());
        let (kind, of_file_system) = (right.next()?.to_owned(), right.nth(1)?);
        Some(Mount { at, kind, options: format!("{own},{of_file_system}") })
    };
    mountinfo.lines().filter_map(parse).filter(|mount| path.starts_with(&mount.at)).max_by_key(|mount| mount.at.len())
}

fn log_dir(dir: &Path, mountinfo: &str) -> Vec<Finding> {
    // What does not exist yet will be made in what exists.
    let existing = dir.ancestors().find(|dir| dir.exists()).and_then(|dir| dir.canonicalize().ok());
    let Some(existing) = existing else { return vec![] };
    let name = format!("log dir {}", dir.display());
    let mut findings: Vec<Finding> = mount_of(&existing, mountinfo).map(|mount| file_system(&name, &mount)).unwrap_or_default();
    findings.extend(space(&name, &existing));
    findings
}

fn file_system(name: &str, mount: &Mount) -> Vec<Finding> {
    let found = format!("{} at {} ({})", mount.kind, mount.at, mount.options);
    let options: Vec<&str> = mount.options.split(',').collect();
    let mut findings = Vec::new();
    if ["nobarrier", "barrier=0"].iter().any(|option| options.contains(option)) {
        let advice = "acked and flushed records may be lost with the power: mount without nobarrier, whatever the controller's battery says";
        findings.push(bad(name, found.clone(), advice));
    }
    if options.contains(&"ro") {
        findings.push(bad(name, found.clone(), "it is mounted read-only"));
    }
    findings.push(match mount.kind.as_str() {
        "ext4" | "xfs" => good(name, found.clone()),
        "tmpfs" | "ramfs" => poor(name, found.clone(), "what is written here is gone after a restart of the machine"),
        "nfs" | "nfs4" | "cifs" | "9p" | "virtiofs" => poor(
            name,
            found.clone(),
            "over a network an fdatasync may mean less than it says, and cores wait long: use a disk of this machine",
        ),
        "overlay" => poor(name, found.clone(), "a container's own layer: mount a volume on ext4 or xfs"),
        _ => poor(name, found.clone(), "measured on ext4 and xfs only"),
    });
    let updates_access_times = !["noatime", "relatime"].iter().any(|option| options.contains(option));
    if updates_access_times && ["ext4", "xfs", "btrfs"].contains(&mount.kind.as_str()) {
        findings.push(poor(name, found, "each read writes an access time: mount with noatime"));
    }
    findings
}

fn space(name: &str, path: &Path) -> Option<Finding> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
    // SAFETY: a live string and plain data that the call fills.
    let (result, stat) = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut stat), stat)
    };
    if result < 0 || stat.f_blocks == 0 {
        return None;
    }
    let (percent, gib) = (stat.f_bavail * 100 / stat.f_blocks, (stat.f_bavail * stat.f_frsize) >> 30);
    let found = format!("{gib} GiB free, {percent} %");
    Some(match percent < LEAST_FREE_PERCENT {
        true => poor(name, found, "a full log dir goes offline: lower retention, or add another one"),
        false => good(name, found),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Severity::{Bad, Good, Poor};

    #[test]
    fn each_finding_is_judged_by_what_the_kernel_says() {
        let kernels = ["4.18.0-553.el8", "5.15.0-105-generic", "6.18.1", "6.1.0-rc3"].map(|release| kernel(release).severity);
        assert_eq!(kernels, [Bad, Poor, Good, Good]);
        assert_eq!([open_files(1024), open_files(1_048_576)].map(|one| one.severity), [Poor, Good]);
        let memory = "MemTotal: 1 kB\nSwapTotal:       2097148 kB\n";
        assert_eq!(swap(memory, "60").severity, Poor);
        assert_eq!(swap(memory, "1").severity, Good);
        assert_eq!(swap("SwapTotal:       0 kB", "60"), good("swap", "none"));
        assert_eq!(huge_pages("[always] madvise never").severity, Poor);
        assert_eq!(huge_pages("always [madvise] never"), good("transparent huge pages", "madvise"));
        assert_eq!([clock_source("tsc"), clock_source("hpet")].map(|one| one.severity), [Good, Poor]);
        assert_eq!([governor("performance"), governor("powersave")].map(|one| one.severity), [Good, Poor]);
        let quota = |text, cores| processor_quota(text, cores).map(|finding| (finding.severity, finding.found));
        assert_eq!(quota("max 100000", 4), Some((Good, "none".to_owned())));
        assert_eq!(quota("150000 100000", 2), Some((Poor, "1.5 processors for 2 cores".to_owned())));
        assert_eq!(quota("400000 100000", 2).map(|(severity, _)| severity), Some(Good));
        assert_eq!(quota("nonsense", 2), None);
    }

    const MOUNTS: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,discard\n\
        40 22 0:38 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1024k\n\
        41 22 8:17 / /var/lib/flumen\\040data rw,noatime - xfs /dev/sdb1 rw,nobarrier\n\
        42 22 8:18 / /old rw - ext4 /dev/sdb2 ro,barrier=0\n";

    #[test]
    fn a_path_lies_on_the_longest_mount_point() {
        let at = |path: &str| mount_of(Path::new(path), MOUNTS).map(|mount| (mount.at, mount.kind));
        let mount = |at: &str, kind: &str| Some((at.to_owned(), kind.to_owned()));
        assert_eq!(at("/tmp/x"), mount("/tmp", "tmpfs"));
        assert_eq!(at("/tmpfiles"), mount("/", "ext4"));
        assert_eq!(at("/var/lib/flumen data/one"), mount("/var/lib/flumen data", "xfs"));
        assert_eq!(mount_of(Path::new("/x"), ""), None);
    }

    #[test]
    fn what_may_lose_records_is_bad_and_what_slows_is_poor() {
        let judged = |path: &str| {
            let mount = mount_of(Path::new(path), MOUNTS).expect("it is mounted");
            file_system("log dir", &mount).into_iter().map(|finding| finding.severity).collect::<Vec<_>>()
        };
        assert_eq!(judged("/home"), [Good]);
        assert_eq!(judged("/tmp"), [Poor]);
        assert_eq!(judged("/var/lib/flumen data"), [Bad, Good]);
        assert_eq!(judged("/old"), [Bad, Bad, Good, Poor]);
    }

    #[test]
    fn this_machine_can_be_surveyed() {
        let topology = Topology { cores: 1, busy_poll: std::time::Duration::ZERO };
        let findings = survey(&topology, &[std::env::temp_dir().join("not-there-yet")]);
        assert_eq!(findings[0], good("io_uring and limits", "allowed"));
        assert!(findings.iter().any(|finding| finding.what.starts_with("log dir")), "{findings:?}");
        let said = |finding: &Finding| (finding.severity == Good) == finding.advice.is_empty();
        assert!(findings.iter().all(said), "what is not good has an advice: {findings:?}");
    }
}
