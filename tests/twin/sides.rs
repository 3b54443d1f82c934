//! The two brokers, each with a connection, and what stands for the same thing on both although it is not the same bytes.

use super::schema::Message;
use super::tree::{self, Tree};
use crate::support::broker::{Broker, Kind};
use flumen::protocol::ApiKey;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_LIMIT: Duration = Duration::from_secs(12);
/// A connection that was closed in place of an answer.
pub const CLOSED: &str = "<the connection was closed>";
/// There was none in time.
pub const NO_ANSWER: &str = "<no answer>";

/// One request: in which version, by which schemas, with which content.
pub struct Question<'a> {
    pub api: ApiKey,
    pub version: i16,
    pub request: &'a Message,
    pub response: &'a Message,
    pub tree: &'a Tree,
}

/// A connection, opened when it is first needed.
#[derive(Default)]
struct Link {
    socket: Option<TcpStream>,
    correlation: i32,
}

pub struct Side {
    pub broker: Broker,
    links: Vec<Link>,
    /// Topic ids, by what they are called on both sides.
    ids: BTreeMap<[u8; 16], String>,
    /// Values of this side that requests name: `<member>`.
    values: BTreeMap<String, Tree>,
}

impl Link {
    fn send(&mut self, address: SocketAddr, question: &Question<'_>, body: &[u8]) -> std::io::Result<()> {
        if self.socket.is_none() {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(ANSWER_LIMIT))?;
            self.socket = Some(socket);
        }
        self.correlation += 1;
        let mut frame = vec![0; 4];
        frame.extend((question.api as i16).to_be_bytes());
        frame.extend(question.version.to_be_bytes());
        frame.extend(self.correlation.to_be_bytes());
        frame.extend(4i16.to_be_bytes());
        frame.extend(b"twin");
        if question.api.is_flexible(question.version) {
            frame.push(0);
        }
        frame.extend(body);
        let length = i32::try_from(frame.len() - 4).expect("a short request");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.socket.as_mut().expect("it was opened").write_all(&frame)
    }

    fn receive(&mut self, question: &Question<'_>) -> std::io::Result<Vec<u8>> {
        let socket = self.socket.as_mut().expect("something was sent");
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        socket.read_exact(&mut answer)?;
        assert_eq!(answer[..4], self.correlation.to_be_bytes(), "the answer to this request");
        let header = 4 + usize::from(question.api.response_header_version(question.version) > 0);
        Ok(answer.split_off(header))
    }
}

impl Side {
    pub fn start(kind: Kind, settings: &[(&str, &str)]) -> Side {
        let broker = Broker::start_kind(kind, settings);
        let log_dir = Tree::Text(broker.data_dir().display().to_string());
        let values = BTreeMap::from([("<log dir>".to_owned(), log_dir)]);
        Side { broker, links: Vec::new(), ids: BTreeMap::new(), values }
    }

    /// What a symbol stands for from now on.
    pub fn remember(&mut self, symbol: &str, value: Tree) {
        self.values.insert(symbol.to_owned(), value);
    }

    /// The answers to requests, as trees. They are all on their way, each on a connection of its own, before the first answer
    /// is awaited.
    pub fn ask_at_once(&mut self, questions: &[Question<'_>]) -> Vec<Result<Tree, String>> {
        let address = self.broker.address();
        let bodies: Vec<_> =
            questions.iter().map(|one| tree::write(one.request, one.version, &self.resolved(one.tree))).collect();
        while self.links.len() < questions.len() {
            self.links.push(Link::default());
        }
        let sent: Vec<_> =
            self.links.iter_mut().zip(questions).zip(&bodies).map(|((link, one), body)| link.send(address, one, body)).collect();
        let answers = self.links.iter_mut().zip(questions).zip(sent);
        answers
            .map(|((link, one), sent)| match sent.and_then(|()| link.receive(one)) {
                Ok(answer) => tree::read(one.response, one.version, &answer),
                Err(error) => {
                    link.socket = None;
                    match error.kind() {
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Ok(Tree::text(NO_ANSWER)),
                        _ => Ok(Tree::text(CLOSED)),
                    }
                }
            })
            .collect()
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
