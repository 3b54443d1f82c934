//! Whoever has started this process and wants to hear from it: systemd's `Type=notify` and its watchdog.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The line to the supervisor; without one nothing is said.
#[derive(Debug)]
pub struct Supervisor {
    line: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment of the process says (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let is_meant = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
        let micros = variable("WATCHDOG_USEC").filter(|_| is_meant).and_then(|text| text.parse::<u64>().ok());
        Self {
            line: variable("NOTIFY_SOCKET").and_then(|name| open(&name)),
            watchdog: micros.filter(|&micros| micros > 0).map(Duration::from_micros),
        }
    }

    /// How often [`Self::is_alive`] has to be said: twice within the time after which the supervisor gives the process up.
    pub fn alive_interval(&self) -> Option<Duration> {
        self.line.as_ref()?;
        self.watchdog.map(|time| time / 2)
    }

    /// The broker serves.
    pub fn is_ready(&self) {
        self.say("READY=1\nSTATUS=serving");
    }

    /// The broker still does.
    pub fn is_alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// The broker stops.
    pub fn is_stopping(&self) {
        self.say("STOPPING=1\nSTATUS=stopping");
    }

    /// A supervisor that does not listen is none of the broker's business.
    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.line {
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

fn open(name: &str) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_hears_what_is_said_and_without_one_nothing_happens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor { line: open(path.to_str().unwrap()), watchdog: Some(Duration::from_secs(4)) };
        assert_eq!(supervisor.alive_interval(), Some(Duration::from_secs(2)));
        supervisor.is_ready();
        supervisor.is_alive();
        supervisor.is_stopping();
        let hear = || {
            let mut buffer = [0; 100];
            let length = listener.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!([hear(), hear(), hear()], ["READY=1\nSTATUS=serving", "WATCHDOG=1", "STOPPING=1\nSTATUS=stopping"]);
        let nobody = Supervisor { line: None, watchdog: Some(Duration::from_secs(4)) };
        nobody.is_ready();
        assert_eq!(nobody.alive_interval(), None);
    }
}
