//! Small disks, which can be filled.

use crate::support::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file system of its own, in memory; unmounted when dropped.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mount(at: &Path, mib: u32) -> Disk {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(at);
        process::run_ok(&mut command, b"", Duration::from_secs(10));
        Disk(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

fn unmount(at: &Path) {
    let done = Command::new("umount").arg("-l").arg(at).status();
    if !done.is_ok_and(|status| status.success()) {
        eprintln!("{} stays mounted", at.display());
    }
}

/// Disks of tests that were killed: those below directories whose names begin with `prefix` and the id of the process.
pub fn unmount_those_of_the_dead(prefix: &str) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for at in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        let owner = at.split(prefix).nth(1).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            unmount(Path::new(at));
        }
    }
}
