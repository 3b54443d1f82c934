//! A toxiproxy as far as sarama's tests use one: five addresses that lead to one broker, and an HTTP interface that closes, slows and cuts
//! the ways to it.
//!
//! ```text
//! GET  /proxies/NAME            -> {"name","listen","upstream","enabled"}
//! POST /proxies/NAME            {"enabled":B}: connections of a proxy that is not enabled are closed, new ones are refused
//! POST /proxies/NAME/toxics     {"type":"latency","attributes":{"latency":MS}}: what comes from the broker comes later
//!                               {"type":"reset_peer"}: a connection ends when something comes from the broker
//! POST /reset                   all are enabled, without toxics
//! ```

use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

/// How often a proxy looks whether it is enabled.
const TICK: Duration = Duration::from_millis(1);

#[derive(Default)]
struct State {
    enabled: bool,
    /// Whether it takes connections, which follows `enabled`.
    listens: bool,
    latency: Duration,
    cuts: bool,
    /// To close them.
    open: Vec<Weak<Connection>>,
}

struct Connection {
    client: TcpStream,
    broker: TcpStream,
}

struct Proxy {
    name: String,
    port: u16,
    upstream: SocketAddr,
    state: Mutex<State>,
}

impl Proxy {
    /// Takes connections whenever it is enabled.
    fn serve(self: Arc<Self>) {
        loop {
            if !self.state.lock().unwrap().enabled {
                thread::sleep(TICK);
                continue;
            }
            let listener =
                TcpListener::bind(("127.0.0.1", self.port)).unwrap_or_else(|error| panic!("port {}: {error}", self.port));
            listener.set_nonblocking(true).unwrap();
            self.state.lock().unwrap().listens = true;
            while self.state.lock().unwrap().enabled {
                match listener.accept() {
                    Ok((client, _)) => self.connect(client).unwrap_or_else(|error| eprintln!("{}: {error}", self.name)),
                    Err(_) => thread::sleep(TICK),
                }
            }
            drop(listener);
            self.state.lock().unwrap().listens = false;
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let connection = Arc::new(Connection { client, broker: TcpStream::connect(self.upstream)? });
        connection.client.set_nodelay(true)?;
        connection.broker.set_nodelay(true)?;
        {
            let mut state = self.state.lock().unwrap();
            if !state.enabled {
                return Ok(());
            }
            state.open.retain(|other| other.strong_count() > 0);
            state.open.push(Arc::downgrade(&connection));
        }
        let there = connection.clone();
        thread::spawn(move || pass(&there.client, &there.broker, || Some(Duration::ZERO)));
        let proxy = self.clone();
        thread::spawn(move || pass(&connection.broker, &connection.client, || proxy.delay()));
        Ok(())
    }

    /// How long what comes from the broker has to wait; `None` when the connection ends instead.
    fn delay(&self) -> Option<Duration> {
        let state = self.state.lock().unwrap();
        (!state.cuts).then_some(state.latency)
    }

    /// Changes the state and waits until that is so.
    fn set(&self, change: impl FnOnce(&mut State)) {
        let enabled = {
            let mut state = self.state.lock().unwrap();
            change(&mut state);
            if !state.enabled {
                for connection in state.open.drain(..).filter_map(|connection| connection.upgrade()) {
                    connection.client.shutdown(Shutdown::Both).ok();
                    connection.broker.shutdown(Shutdown::Both).ok();
                }
            }
            state.enabled
        };
        while self.state.lock().unwrap().listens != enabled {
            thread::sleep(TICK);
        }
    }

    fn reset(&self) {
        self.set(|state| (state.enabled, state.latency, state.cuts) = (true, Duration::ZERO, false));
    }

    fn describe(&self) -> Value {
        let enabled = self.state.lock().unwrap().enabled;
        json!({
            "name": self.name, "listen": format!("127.0.0.1:{}", self.port), "upstream": self.upstream.to_string(), "enabled": enabled,
        })
    }
}

/// Hands bytes on until an end is closed. `delay` is asked for each piece.
fn pass(mut from: &TcpStream, mut to: &TcpStream, delay: impl Fn() -> Option<Duration>) {
    let mut piece = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let Some(delay) = delay() else { break };
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}

/// Starts the proxies `kafka1`, `kafka2` and so on, one a port, and their interface; the address of that. They run until the process ends.
pub fn start(upstream: SocketAddr, ports: impl Iterator<Item = u16>) -> SocketAddr {
    let proxy = |(index, port): (usize, u16)| {
        let name = format!("kafka{}", index + 1);
        let proxy = Arc::new(Proxy { name, port, upstream, state: Mutex::default() });
        let server = proxy.clone();
        thread::spawn(move || server.serve());
        proxy.reset();
        proxy
    };
    let proxies: Vec<Arc<Proxy>> = ports.enumerate().map(proxy).collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for caller in listener.incoming().map_while(Result::ok) {
            answer(caller, &proxies).unwrap_or_else(|error| eprintln!("toxiproxy: {error}"));
        }
    });
    address
}

fn answer(mut caller: TcpStream, proxies: &[Arc<Proxy>]) -> io::Result<()> {
    let Some((head, body)) = read_request(&mut caller)? else { return Ok(()) };
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let find = |name: &str| proxies.iter().find(|proxy| proxy.name == name);
    let (status, text) = match (method, &parts[..]) {
        ("POST", ["reset"]) => {
            proxies.iter().for_each(|proxy| proxy.reset());
            ("204 No Content", String::new())
        }
        ("GET", ["proxies", name]) => found(find(name), |_| Ok(())),
        ("POST", ["proxies", name]) => found(find(name), |proxy| {
            proxy.set(|state| state.enabled = body["enabled"] == true);
            Ok(())
        }),
        ("POST", ["proxies", name, "toxics"]) => found(find(name), |proxy| add_toxic(proxy, &body)),
        _ => ("404 Not Found", format!("{method} {path} is not there")),
    };
    write!(caller, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())
}

fn found(proxy: Option<&Arc<Proxy>>, act: impl FnOnce(&Proxy) -> Result<(), String>) -> (&'static str, String) {
    match proxy.map(|proxy| (proxy, act(proxy))) {
        Some((proxy, Ok(()))) => ("200 OK", proxy.describe().to_string()),
        Some((_, Err(complaint))) => ("400 Bad Request", complaint),
        None => ("404 Not Found", "no such proxy".to_owned()),
    }
}

fn add_toxic(proxy: &Proxy, toxic: &Value) -> Result<(), String> {
    match (toxic["type"].as_str(), toxic["attributes"]["latency"].as_u64()) {
        (Some("latency"), Some(milliseconds)) => proxy.set(|state| state.latency = Duration::from_millis(milliseconds)),
        (Some("reset_peer"), _) => proxy.set(|state| state.cuts = true),
        _ => return Err(format!("no such toxic: {toxic}")),
    }
    Ok(())
}

/// The head of a request and its body; `None` when the caller has gone.
fn read_request(caller: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    const END: &[u8] = b"\r\n\r\n";
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = bytes.windows(END.len()).position(|window| window == END) {
            let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= at + END.len() + length {
                let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
                return Ok(Some((head, bytes[at + END.len()..at + END.len() + length].to_vec())));
            }
        }
        match caller.read(&mut piece)? {
            0 => return Ok(None),
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
}
