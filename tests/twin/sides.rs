//! The two brokers, each with a connection, and what stands for the same thing on both although it is not the same bytes.

use super::schema::Message;
use super::tree::{self, Tree};
use crate::support::broker::{Broker, Kind};
use flumen::protocol::ApiKey;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_LIMIT: Duration = Duration::from_secs(12);
/// A connection that was closed in place of an answer.
pub const CLOSED: &str = "<the connection was closed>";
/// There was none in time.
pub const NO_ANSWER: &str = "<no answer>";

pub struct Side {
    pub broker: Broker,
    socket: Option<TcpStream>,
    correlation: i32,
    /// Topic ids, by what they are called on both sides.
    ids: BTreeMap<[u8; 16], String>,
    /// Values of this side that requests name: `<member>`.
    values: BTreeMap<String, Tree>,
}

impl Side {
    pub fn start(kind: Kind, settings: &[(&str, &str)]) -> Side {
        let broker = Broker::start_kind(kind, settings);
        let log_dir = Tree::Text(broker.data_dir().display().to_string());
        let values = BTreeMap::from([("<log dir>".to_owned(), log_dir)]);
        Side { broker, socket: None, correlation: 0, ids: BTreeMap::new(), values }
    }

    /// What a symbol stands for from now on.
    pub fn remember(&mut self, symbol: &str, value: Tree) {
        self.values.insert(symbol.to_owned(), value);
    }

    /// One request and its answer, as a tree; with symbols for what is this side's own.
    pub fn ask(&mut self, api: ApiKey, version: i16, request: &Message, response: &Message, tree: &Tree) -> Result<Tree, String> {
        let body = tree::write(request, version, &self.resolved(tree));
        match self.exchange(api, version, &body) {
            Ok(answer) => tree::read(response, version, &answer),
            Err(error) => {
                self.socket = None;
                match error.kind() {
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Ok(Tree::text(NO_ANSWER)),
                    _ => Ok(Tree::text(CLOSED)),
                }
            }
        }
    }

    fn exchange(&mut self, api: ApiKey, version: i16, body: &[u8]) -> std::io::Result<Vec<u8>> {
        if self.socket.is_none() {
            let socket = TcpStream::connect(self.broker.address())?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(ANSWER_LIMIT))?;
            self.socket = Some(socket);
        }
        let socket = self.socket.as_mut().expect("it was opened");
        self.correlation += 1;
        let mut frame = vec![0; 4];
        frame.extend((api as i16).to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(self.correlation.to_be_bytes());
        frame.extend(4i16.to_be_bytes());
        frame.extend(b"twin");
        if api.is_flexible(version) {
            frame.push(0);
        }
        frame.extend(body);
        let length = i32::try_from(frame.len() - 4).expect("a short request");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        socket.write_all(&frame)?;
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        socket.read_exact(&mut answer)?;
        assert_eq!(answer[..4], self.correlation.to_be_bytes(), "the answer to this request");
        let header = 4 + usize::from(api.response_header_version(version) > 0);
        Ok(answer.split_off(header))
    }

    /// The request as this side understands it.
    fn resolved(&self, tree: &Tree) -> Tree {
        match tree {
            Tree::Text(text) => self.values.get(text).cloned().unwrap_or_else(|| {
                let id = self.ids.iter().find(|(_, name)| *name == text).map(|(id, _)| Tree::Uuid(*id));
                id.unwrap_or_else(|| tree.clone())
            }),
            Tree::List(items) => Tree::List(items.iter().map(|item| self.resolved(item)).collect()),
            Tree::Struct(fields) => {
                Tree::Struct(fields.iter().map(|(name, value)| (name.clone(), self.resolved(value))).collect())
            }
            other => other.clone(),
        }
    }

    /// Learns the ids of topics from every struct that has a name and an id.
    pub fn learn(&mut self, answer: &Tree) {
        match answer {
            Tree::List(items) => items.iter().for_each(|item| self.learn(item)),
            Tree::Struct(fields) => {
                let name = answer.field("Name").or_else(|| answer.field("TopicName"));
                if let (Some(Tree::Text(name)), Some(Tree::Uuid(id))) = (name, answer.field("TopicId"))
                    && *id != [0; 16]
                    && !self.ids.contains_key(id)
                {
                    let earlier = self.ids.values().filter(|known| known.starts_with(&format!("<id of {name}"))).count();
                    let number = if earlier == 0 { String::new() } else { format!(" {}", earlier + 1) };
                    self.ids.insert(*id, format!("<id of {name}{number}>"));
                }
                fields.iter().for_each(|(_, value)| self.learn(value));
            }
            _ => {}
        }
    }

    /// The answer with what is this side's own as symbols, and lists in an order of their own: both brokers keep much in hash maps.
    pub fn masked(&self, field: &str, value: &Tree) -> Tree {
        match value {
            Tree::Uuid(id) if *id != [0; 16] => {
                Tree::Text(self.ids.get(id).cloned().unwrap_or_else(|| format!("<unknown id {id:02x?}>")))
            }
            Tree::Number(port) if field == "Port" && *port == i64::from(self.broker.port) => Tree::text("<port>"),
            Tree::Number(session) if field == "SessionId" && *session != 0 => Tree::text("<session>"),
            Tree::Number(id) if field == "ProducerId" && *id >= 0 => Tree::text("<producer id>"),
            Tree::Text(_) if field == "LogDir" => tree_of_log_dir(value, &self.broker),
            Tree::Text(text) if field == "ClusterId" && !text.is_empty() => Tree::text("<cluster>"),
            // Documented: the words of errors are our own. That there are some is compared.
            Tree::Text(text) if ["ErrorMessage", "BatchIndexErrorMessage"].contains(&field) && !text.is_empty() => {
                Tree::text("<words>")
            }
            Tree::Text(text) => Tree::Text(without_uuid(text)),
            Tree::List(items) => {
                let mut items: Vec<Tree> = items.iter().map(|item| self.masked(field, item)).collect();
                items.sort_by_cached_key(|item| format!("{item:?}"));
                Tree::List(items)
            }
            Tree::Struct(fields) => {
                let masked = Tree::Struct(fields.iter().map(|(name, value)| (name.clone(), self.masked(name, value))).collect());
                // How often sessions have run out, and been written down, depends on the time.
                if value.field("Name") == Some(&Tree::text("__consumer_offsets")) { without_sizes(&masked) } else { masked }
            }
            other => other.clone(),
        }
    }
}

fn without_sizes(tree: &Tree) -> Tree {
    match tree {
        Tree::List(items) => Tree::List(items.iter().map(without_sizes).collect()),
        Tree::Struct(fields) => {
            let size =
                |name: &str, value: &Tree| if name == "PartitionSize" { Tree::text("<size>") } else { without_sizes(value) };
            Tree::Struct(fields.iter().map(|(name, value)| (name.clone(), size(name, value))).collect())
        }
        other => other.clone(),
    }
}

fn tree_of_log_dir(path: &Tree, broker: &Broker) -> Tree {
    if *path == Tree::Text(broker.data_dir().display().to_string()) { Tree::text("<log dir>") } else { path.clone() }
}

/// Member ids end in a random UUID.
fn without_uuid(text: &str) -> String {
    let is_uuid = |tail: &str| {
        tail.len() == 36
            && tail.char_indices().all(|(at, c)| if [8, 13, 18, 23].contains(&at) { c == '-' } else { c.is_ascii_hexdigit() })
    };
    match text.len().checked_sub(36).filter(|&at| text.is_char_boundary(at) && is_uuid(&text[at..])) {
        Some(at) => format!("{}<uuid>", &text[..at]),
        None => text.to_owned(),
    }
}
