//! What this process and the broker's take of the machine.

use serde::Serialize;
use std::fs;

/// CPU seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Cpu {
    /// What was taken since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }

    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

/// Of this process, all threads.
pub fn own_cpu() -> Cpu {
    // SAFETY: an all-zero rusage is a valid one, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Cpu { user: seconds(usage.ru_utime), system: seconds(usage.ru_stime) }
}

/// Of another process, in steps of the kernel's clock tick (10 ms); `None` if there is no such process.
pub fn cpu_of(pid: u32) -> Option<Cpu> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat, ticks_per_second())
}

/// The unit of times under `/proc`.
fn ticks_per_second() -> f64 {
    // SAFETY: no pointers.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

fn parse_stat(stat: &str, ticks: f64) -> Option<Cpu> {
    // The second field is the program's name in parentheses, and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / ticks);
    Some(Cpu { user: seconds(11)?, system: seconds(12)? })
}

/// Seconds that a hypervisor has taken away from all processors together; `None` where the kernel does not tell.
pub fn stolen() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    parse_stolen(&stat, ticks_per_second())
}

fn parse_stolen(stat: &str, ticks: f64) -> Option<f64> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user nice system idle iowait irq softirq steal
    Some(all.split_ascii_whitespace().nth(7)?.parse::<f64>().ok()? / ticks)
}

/// Resident memory of a process now and at its greatest, in bytes.
pub fn memory_of(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some((bytes("VmRSS:")?, bytes("VmHWM:")?))
}

/// As many descriptors as the hard limit allows: a run may have thousands of connections.
pub fn raise_nofile() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for both calls; a refusal leaves the limit as it was, and connecting says what is missing.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_program_name() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194304 100 0 0 0 250 75 0 0 20 0 1 0 5 1 1 1";
        assert_eq!(parse_stat(stat, 100.0), Some(Cpu { user: 2.5, system: 0.75 }));
        assert_eq!(parse_stat("12 (x) S 1", 100.0), None);
    }

    #[test]
    fn stolen_time_is_that_of_all_processors() {
        let stat = "cpu  10 20 30 40 50 60 70 250 0 0\ncpu0 1 2 3 4 5 6 7 125 0 0\n";
        assert_eq!(parse_stolen(stat, 100.0), Some(2.5));
        assert_eq!(parse_stolen("cpu 1 2 3\n", 100.0), None);
        assert!(stolen().is_some_and(|seconds| seconds >= 0.0));
    }

    #[test]
    fn this_process_has_cpu_time_and_memory() {
        let before = own_cpu();
        let mut sum = 0u64;
        while own_cpu().since(before).total() < 0.05 {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert!(cpu_of(std::process::id()).unwrap().total() > 0.0, "{sum}");
        let (now, most) = memory_of(std::process::id()).unwrap();
        assert!(now > 0 && most >= now);
        assert_eq!(cpu_of(u32::MAX), None);
    }
}
