//! What the broker needs of kernel and limits, said so that the reader can act on it.

use super::start::RING_MEMORY;
use super::{StartError, Topology, check};
use std::io::{Error, Result};

/// glommio refuses to start below this much lockable memory.
const LEAST_MEMLOCK: u64 = 512 * 1024;
/// Rings of an executor, each of which locks its registered memory.
const RINGS: u64 = 3;
/// Descriptors below which a broker is of no use: rings and events of the cores, a log's files, some connections.
const LEAST_NOFILE: u64 = 1024;
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

/// Processors in this thread's affinity mask, ascending.
pub(super) fn affinity() -> Vec<usize> {
    // SAFETY: the set is plain data that the call fills.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) < 0 {
            return vec![0];
        }
        (0..libc::CPU_SETSIZE as usize).filter(|&processor| libc::CPU_ISSET(processor, &set)).collect()
    }
}

/// Number of processors that the process may use (affinity mask).
pub fn affinity_cores() -> usize {
    affinity().len()
}

pub(super) fn pin(processor: usize) -> Result<()> {
    // SAFETY: the set is plain data; the processor number came out of such a set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)).map(|_| ())
    }
}

pub(super) fn limit(resource: libc::__rlimit_resource_t) -> Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills a live struct.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok(limit)
}

/// The allocator asks for huge pages, of which an idle broker then holds two thirds without a use for them: 27 MiB on one core, 10 without.
/// What a produced gigabyte or a request costs was the same with and without, within what one machine varies.
pub fn do_without_huge_pages() {
    // SAFETY: no memory of ours is passed. Where the kernel knows no huge pages there are none.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Raises the limit of open files to its hard limit; the limit that holds then.
pub fn raise_nofile() -> Result<u64> {
    let mut now = limit(libc::RLIMIT_NOFILE)?;
    if now.rlim_cur < now.rlim_max {
        now.rlim_cur = now.rlim_max;
        // SAFETY: reads a live struct.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const now) })?;
    }
    Ok(now.rlim_cur)
}

/// The limit of open files that holds now.
pub(super) fn open_files_limit() -> usize {
    limit(libc::RLIMIT_NOFILE).map_or(usize::MAX, |limit| usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// Name of this host, for listeners that are configured without one.
pub fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" | "(none)" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// Reads a whole file before any core runs: the configuration.
pub fn read_at_start(path: &std::path::Path) -> Result<Vec<u8>> {
    std::fs::read(path)
}

/// Checks what the broker needs of kernel and limits: io_uring allowed, `memlock` for `cores` rings, `nofile`.
pub fn check_machine(topology: &Topology) -> std::result::Result<(), StartError> {
    let read = |path: &str| std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    memlock(limit(libc::RLIMIT_MEMLOCK).map_or(u64::MAX, |limit| limit.rlim_cur), topology.cores as u64)?;
    nofile(limit(libc::RLIMIT_NOFILE).map_or(u64::MAX, |limit| limit.rlim_max))?;
    match probe_ring() {
        Ok(()) => Ok(()),
        Err(error) => Err(ring_refused(&error, read(DISABLED))),
    }
}

/// Sets up a small ring and closes it.
fn probe_ring() -> Result<()> {
    // `struct io_uring_params` is 120 bytes, all of them zero for a ring without options.
    let mut params = [0_u64; 15];
    // SAFETY: the kernel reads and fills 120 bytes; the descriptor it returns is ours to close.
    unsafe {
        let fd = libc::syscall(libc::SYS_io_uring_setup, 8, params.as_mut_ptr());
        if fd < 0 {
            return Err(Error::last_os_error());
        }
        libc::close(fd as i32);
    }
    Ok(())
}

fn memlock(current: u64, cores: u64) -> std::result::Result<(), StartError> {
    let need = LEAST_MEMLOCK.max(cores * RINGS * RING_MEMORY as u64);
    if current >= need {
        return Ok(());
    }
    let kib = need / 1024;
    Err(StartError(format!(
        "the limit of locked memory (RLIMIT_MEMLOCK) is {} KiB, but io_uring needs {kib} KiB for {cores} core(s): raise it with \
         `ulimit -l {kib}`, `LimitMEMLOCK={kib}K` in the systemd unit, or `docker run --ulimit memlock={need}`",
        current / 1024
    )))
}

fn nofile(hard: u64) -> std::result::Result<(), StartError> {
    if hard >= LEAST_NOFILE {
        return Ok(());
    }
    Err(StartError(format!(
        "the hard limit of open files (RLIMIT_NOFILE) is {hard}, but a broker needs at least {LEAST_NOFILE}, and one for each \
         connection and open segment: raise it with `ulimit -Hn 100000`, `LimitNOFILE=100000` in the systemd unit, or `docker run \
         --ulimit nofile=100000`"
    )))
}

fn ring_refused(error: &Error, disabled: Option<u64>) -> StartError {
    StartError(match (error.raw_os_error(), disabled) {
        (Some(libc::EPERM), Some(level @ (1 | 2))) => format!(
            "the kernel refuses io_uring: kernel.io_uring_disabled is {level}: allow it with `sysctl -w kernel.io_uring_disabled=0` \
             (and a file in /etc/sysctl.d to keep it so)"
        ),
        (Some(libc::EPERM | libc::EACCES), _) => "io_uring_setup is forbidden (EPERM), most likely by a seccomp filter: allow io_uring_setup, \
             io_uring_enter and io_uring_register, with `docker run --security-opt seccomp=unconfined` or a profile of your own, or \
             `SystemCallFilter=io_uring_setup io_uring_enter io_uring_register` in the systemd unit"
            .to_owned(),
        (Some(libc::ENOSYS), _) => "this kernel has no io_uring (ENOSYS), or a seccomp filter or a sandbox hides it: Linux 5.8 or newer built \
             with CONFIG_IO_URING is needed; check with `uname -r`; in a container try `docker run --security-opt seccomp=unconfined`"
            .to_owned(),
        (Some(libc::ENOMEM), _) => "io_uring_setup found no memory it may lock (ENOMEM): raise RLIMIT_MEMLOCK with `ulimit -l unlimited`, or \
             end other programs of this user that hold rings"
            .to_owned(),
        (Some(libc::EMFILE), _) => "io_uring_setup found no free descriptor (EMFILE): raise RLIMIT_NOFILE with `ulimit -n 100000`".to_owned(),
        _ => format!("io_uring_setup failed: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_the_limit_its_value_and_the_command() {
        let text = memlock(64 * 1024, 4).unwrap_err().0;
        assert!(text.contains("RLIMIT_MEMLOCK") && text.contains("is 64 KiB") && text.contains("`ulimit -l 768`"), "{text}");
        let text = nofile(256).unwrap_err().0;
        assert!(text.contains("RLIMIT_NOFILE") && text.contains("is 256") && text.contains("LimitNOFILE"), "{text}");
        let refused = |number, disabled| ring_refused(&Error::from_raw_os_error(number), disabled).0;
        assert!(refused(libc::EPERM, Some(2)).contains("kernel.io_uring_disabled is 2"));
        assert!(refused(libc::EPERM, Some(2)).contains("sysctl -w kernel.io_uring_disabled=0"));
        assert!(refused(libc::EPERM, Some(0)).contains("seccomp"));
        assert!(refused(libc::ENOSYS, None).contains("Linux 5.8"));
    }

    #[test]
    fn enough_is_enough() {
        memlock(8 << 20, 2).unwrap();
        assert!(memlock(8 << 20, 64).unwrap_err().0.contains("12288"), "64 cores lock 12 MiB");
        nofile(20_000).unwrap();
        assert!(affinity_cores() >= 1);
        check_machine(&Topology { cores: 1, busy_poll: std::time::Duration::ZERO }).unwrap();
    }
}

/// How much less than a core a helper thread weighs (nice): with 10 a tenth. More, and acks that wait for the device would wait for
/// each other's cores too.
const STANDS_BACK: libc::c_int = 10;

/// Lets the cores go first where this thread shares a processor with one: several helpers that copy what is read or written would take
/// most of its time otherwise, and what waits for the core would wait for all of them.
pub(super) fn stand_back() {
    // SAFETY: plain call; 0 is the calling thread. Where it is refused, all are equal.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, STANDS_BACK) };
}
