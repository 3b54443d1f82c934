//! A machine that runs Flumen as its service: systemd is process 1 of namespaces of its own, the unit is the one of config/, and what its
//! head tells an operator to do is done, word for word. Network, disks and clock are those of the test's other hosts.

use crate::support::members::wait_until;
use crate::support::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/flumen.service");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/machine.sh");
/// What systemd and the message bus want of the real /etc.
const FROM_ETC: [&str; 6] = ["passwd", "group", "nsswitch.conf", "ld.so.cache", "os-release", "dbus-1"];
/// Not needed, and a network is there already.
const MASKED: [&str; 4] = ["systemd-networkd.service", "systemd-logind.service", "systemd-firstboot.service", "getty.target"];
const BOOT_LIMIT: Duration = Duration::from_secs(90);
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// What `systemctl stop` may take; the unit allows more.
const STOP_LIMIT: Duration = Duration::from_secs(120);

pub struct Machine {
    home: PathBuf,
    init: Option<u32>,
}

impl Machine {
    /// A machine with the program, its unit and its settings, not booted yet.
    pub fn install(home: &Path, settings: &str) -> Machine {
        for directory in ["root", "bin", "etc/systemd/system", "etc/flumen", "var/lib", "var/tmp", "var/log/journal"] {
            fs::create_dir_all(home.join(directory)).expect("a directory of the machine");
        }
        for name in FROM_ETC {
            let (from, to) = (format!("/etc/{name}"), home.join("etc").join(name));
            process::run_ok(Command::new("cp").args(["-RL", &from]).arg(to), b"", COMMAND_LIMIT);
        }
        fs::write(home.join("etc/machine-id"), format!("{:032x}\n", std::process::id())).unwrap();
        let link = |to: &str, from: PathBuf| std::os::unix::fs::symlink(to, from).expect("a link");
        link("/run", home.join("var/run"));
        link("/lib/systemd/system/multi-user.target", home.join("etc/systemd/system/default.target"));
        MASKED.iter().for_each(|name| link("/dev/null", home.join("etc/systemd/system").join(name)));
        fs::copy(env!("CARGO_BIN_EXE_flumen"), home.join("bin/flumen")).expect("the program");
        fs::copy(UNIT, home.join("etc/systemd/system/flumen.service")).expect("the unit");
        fs::write(home.join("etc/flumen/server.properties"), settings).expect("the settings");
        Machine { home: home.to_owned(), init: None }
    }

    /// The command that boots it; its process is the machine's power supply.
    pub fn power_on(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--mount", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child", "sh", SCRIPT]).arg(&self.home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Waits until the machine that `child` powers is up.
    pub fn await_booted(&mut self, child: &Child) {
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        wait_until("a machine to boot", BOOT_LIMIT, || {
            self.init = fs::read_to_string(&children).ok().and_then(|ids| ids.split_whitespace().next()?.parse().ok());
            let state = self.init.is_some().then(|| self.command(&["systemctl", "is-system-running"], COMMAND_LIMIT));
            state.is_some_and(|(_, said)| ["running", "degraded"].contains(&said.trim()))
        });
    }

    /// Runs a command inside: whether it succeeded, and what it said.
    fn command(&self, words: &[&str], limit: Duration) -> (bool, String) {
        let init = self.init.expect("the machine runs").to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &init, "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net"]).args(words);
        let finished = process::run(&mut command, b"", limit);
        (finished.status.success(), format!("{}{}", String::from_utf8_lossy(&finished.stdout), finished.stderr))
    }

    fn command_ok(&self, words: &[&str], limit: Duration) -> String {
        let (succeeded, said) = self.command(words, limit);
        assert!(succeeded, "{words:?}: {said}");
        said
    }

    /// Formats its log dir as the head of the unit says, `options` added.
    pub fn format(&self, cluster_id: &str) {
        let unit = fs::read_to_string(UNIT).expect("the unit");
        let told: Vec<&str> =
            unit.lines().filter_map(|line| line.strip_prefix("#   ")).filter(|line| !line.starts_with('#')).collect();
        let script = told.join("\n").replace("THE-ID", cluster_id);
        assert!(script.contains("storage format") && script.contains(cluster_id), "the unit tells how to format: {script}");
        self.command_ok(&["sh", "-euc", &script], COMMAND_LIMIT);
    }

    /// The service starts, now and whenever the machine boots.
    pub fn enable(&self) {
        self.command_ok(&["systemctl", "enable", "flumen"], COMMAND_LIMIT);
        self.command_ok(&["systemctl", "start", "--no-block", "flumen"], COMMAND_LIMIT);
    }

    /// systemd has heard from the service that it serves.
    pub fn is_active(&self) -> bool {
        self.command(&["systemctl", "is-active", "flumen"], COMMAND_LIMIT).1.trim() == "active"
    }

    /// Stops the service cleanly.
    pub fn stop(&self) {
        self.command_ok(&["systemctl", "stop", "flumen"], STOP_LIMIT);
        let result = self.command_ok(&["systemctl", "show", "--property=Result", "--value", "flumen"], COMMAND_LIMIT);
        assert_eq!(result.trim(), "success", "how the service ended:\n{}", process::tail(&self.log()));
    }

    /// What the service has said since the machine was first booted.
    pub fn log(&self) -> String {
        let mut command = Command::new("journalctl");
        command.arg("--directory").arg(self.home.join("var/log/journal")).args(["--output=short-iso-precise", "--no-pager"]);
        String::from_utf8_lossy(&process::run(&mut command, b"", COMMAND_LIMIT).stdout).into_owned()
    }
}
