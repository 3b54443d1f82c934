//! The way to other voters: openraft's network over [`Connection`]s to their controller listeners.
//!
//! Each voter is asked over several connections, one for each of openraft's tasks (entries, heartbeats, votes, a snapshot): an answer that
//! takes long holds up none of the others. A connection is made when it is needed and given up when an answer does not come in time,
//! which is the request timeout and, for what is long, the time that a slow link takes for it. There is one attempt at a time to make
//! it; openraft asks again after a heartbeat, or after [`BACKOFF`], so there is no more than that to bound.
//!
//! A call is a task of its own: openraft drops what it waits for when it has waited long enough, and a connection must not be left with
//! half a request.

use super::codec::{self, Answer, Append, Ballot, Message, SnapshotPart};
use super::members::Member;
use super::snapshot::SnapshotFile;
use super::types::{Entry, Membership, MetadataBatch, Payload, Snapshot, Types, Vote};
use super::{OpenQuorum, RAFT_API_KEY};
use crate::client::Connection;
use crate::config::QuorumVoter;
use crate::io::{Io, OpenOptions, local_reply};
use crate::model::{BrokerId, TopicId};
use crate::protocol::Request;
use bytes::Bytes;
use futures_util::future::{Either, select};
use openraft::OptionalSend;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft::raft::{TransferLeaderError, TransferLeaderResponse};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// What we call ourselves to other voters.
const CLIENT_ID: &str = "raft-client";
/// Bytes of a snapshot in one message.
const PART_BYTES: usize = 256 << 10;
/// A link is given this many bytes a second at least before it counts as dead.
const SLOWEST: u64 = 64 << 10;
/// Waits between attempts to send something to a voter that does not answer; the last one is repeated.
const BACKOFF: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];

/// Everybody's addresses.
#[derive(Clone)]
pub(super) struct Peers(Rc<Addresses>);

struct Addresses {
    io: Io,
    cluster_id: String,
    node: BrokerId,
    /// Where each voter's controller listens, and which directory it has to have (zero where the voters are fixed).
    voters: RefCell<BTreeMap<BrokerId, Place>>,
    /// Name of the listener by which voters are called.
    listener: String,
    limit: Duration,
    /// Who did not answer when it was last asked.
    silent: RefCell<BTreeSet<BrokerId>>,
}

#[derive(Clone, Debug)]
struct Place {
    host: String,
    port: u16,
    directory: TopicId,
}

/// One voter, over one connection.
pub(super) struct Peer {
    all: Rc<Addresses>,
    target: BrokerId,
    link: Rc<Link>,
}

#[derive(Default)]
struct Link {
    connection: RefCell<Option<Connection>>,
    /// Somebody is making one.
    connecting: Cell<bool>,
}

impl Peers {
    /// The other voters, of whom each has so long for an answer.
    pub(super) fn new(io: Io, how: &OpenQuorum) -> Self {
        let place = |voter: &QuorumVoter| Place { host: voter.host.clone(), port: voter.port, directory: TopicId::default() };
        Self(Rc::new(Addresses {
            io,
            cluster_id: how.cluster_id.clone(),
            node: how.node,
            voters: RefCell::new(how.voters.iter().map(|voter| (voter.id, place(voter))).collect()),
            listener: how.listener.clone(),
            limit: Duration::from_millis(how.timeouts.request_ms.max(1)),
            silent: RefCell::default(),
        }))
    }

    /// The log names these members, and where they are.
    pub(super) fn learn(&self, members: &Membership) {
        for (id, member) in members.nodes() {
            self.0.learn(super::entry::broker_id(*id), member);
        }
    }

    /// Where all members listen that are known.
    pub(super) fn known_servers(&self) -> Vec<(String, u16)> {
        let voters = self.0.voters.borrow();
        voters.iter().filter(|(id, _)| **id != self.0.node).map(|(_, place)| (place.host.clone(), place.port)).collect()
    }

    /// Asks whoever listens there, over a connection of its own.
    ///
    /// # Errors
    /// There is no answer; why.
    pub(super) async fn ask_once(&self, host: &str, port: u16, message: &Message) -> Result<Answer, String> {
        let all = &self.0;
        let nobody = TopicId::default();
        let request = codec::encode_request(&all.cluster_id, all.node, nobody, message).map_err(|error| error.to_string())?;
        let connection = all.connect(host, port).await?;
        let answer = connection.call_private(RAFT_API_KEY, &request, all.limit).await.map_err(|error| error.to_string())?;
        match codec::decode_answer(answer).map_err(|error| error.to_string())? {
            Answer::Refused(why) => Err(why),
            answer => Ok(answer),
        }
    }

    /// Host and port of a member, if they are known.
    pub(super) fn server_of(&self, target: BrokerId) -> Option<(String, u16)> {
        self.0.place_of(target).ok().map(|place| (place.host, place.port))
    }

    /// Asks whoever listens there by a request of Kafka's, over a connection of its own. The answer may take `more` than others.
    ///
    /// # Errors
    /// There is no answer; why.
    pub(super) async fn call_once<R: Request>(
        &self,
        host: &str,
        port: u16,
        request: &R,
        more: Duration,
    ) -> Result<R::Response, String> {
        let connection = self.0.connect(host, port).await?;
        let version = connection.version_of::<R>().map_err(|error| error.to_string())?;
        connection.call(version, request, self.0.limit + more).await.map_err(|error| error.to_string())
    }

    /// Where a voter's controller listens.
    pub(super) async fn addresses_of(&self, target: BrokerId) -> Result<Vec<SocketAddr>, String> {
        let place = self.0.place_of(target)?;
        self.0.addresses_of(&place.host, place.port).await
    }

    /// A voter by its id.
    pub(super) fn peer(&self, target: BrokerId) -> Peer {
        Peer { all: self.0.clone(), target, link: Rc::default() }
    }
}

impl Peer {
    /// Asks and waits for the answer. The log says once that there is none, and once that there is one again.
    ///
    /// # Errors
    /// There is none; why.
    pub(super) async fn ask(&self, message: &Message) -> Result<Answer, String> {
        let answer = self.try_to_ask(message).await;
        let mut silent = self.all.silent.borrow_mut();
        match &answer {
            Ok(_) if silent.remove(&self.target) => tracing::info!(voter = self.target.0, "answers again"),
            Err(why) if silent.insert(self.target) => tracing::warn!(voter = self.target.0, why, "does not answer"),
            _ => {}
        }
        answer
    }

    async fn try_to_ask(&self, message: &Message) -> Result<Answer, String> {
        let all = &self.all;
        let request = codec::encode_request(&all.cluster_id, all.node, all.directory_of(self.target), message)
            .map_err(|error| error.to_string())?;
        let limit = all.limit + Duration::from_secs(request.len() as u64 / SLOWEST);
        let (sender, answer) = local_reply();
        let (call, target, link) = (all.clone(), self.target, self.link.clone());
        all.io.spawn(async move { sender.send(call.call(target, &link, &request, limit).await) });
        let answer = answer.await.map_err(|_| "the call was dropped".to_owned())??;
        match codec::decode_answer(answer).map_err(|error| error.to_string())? {
            Answer::Refused(why) => Err(format!("voter {target} refuses: {why}")),
            answer => Ok(answer),
        }
    }

    /// Whether the voter says that it has no data either.
    pub(super) async fn is_blank(&self) -> bool {
        matches!(self.ask(&Message::Hello).await, Ok(Answer::Hello { is_blank: true }))
    }

    /// Where the voter listens and what it knows, by its own word.
    ///
    /// # Errors
    /// It does not answer; why.
    pub(super) async fn describe(&self) -> Result<Member, String> {
        match self.ask(&Message::Describe).await? {
            Answer::Described(member) => Ok(member),
            other => Err(format!("the answer {other:?} to something else")),
        }
    }

    async fn asked(&self, message: &Message) -> Result<Answer, Unreachable<Types>> {
        self.ask(message).await.map_err(Unreachable::from_string)
    }

    async fn ask_for_a_vote(&self, message: Message) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.asked(&message).await? {
            Answer::Voted { vote, granted, last } => Ok(VoteResponse::new(vote, last, granted)),
            other => Err(stray(&other).into()),
        }
    }

    async fn send_snapshot(&self, vote: Vote, snapshot: &Snapshot) -> Result<SnapshotResponse<Types>, Unreachable<Types>> {
        let (io, from) = (&self.all.io, &snapshot.snapshot);
        let unreadable = |error: std::io::Error| Unreachable::from_string(format!("{}: {error}", from.path.display()));
        let Some(last) = snapshot.meta.last_log_id else {
            return Err(Unreachable::from_string("a snapshot of nothing"));
        };
        // Who holds it open can read it to its end, also when it is removed meanwhile.
        let file = io.open(&from.path, OpenOptions::READ).await.map_err(unreadable)?;
        let size = file.len(io).await.map_err(unreadable)?;
        let mut position = 0;
        loop {
            let bytes = file.read_at(io, position, PART_BYTES).await.map_err(unreadable)?;
            let sent = position + bytes.len() as u64;
            let part = SnapshotPart { vote, last, end: from.end, size, position, bytes };
            match self.asked(&Message::Snapshot(part)).await? {
                Answer::HigherVote(theirs) => return Ok(SnapshotResponse::new(theirs)),
                Answer::SnapshotUpTo(next) if next == size && sent == size => return Ok(SnapshotResponse::new(vote)),
                Answer::SnapshotUpTo(next) if next == sent && sent > position => position = sent,
                Answer::SnapshotUpTo(_) => return Err(Unreachable::from_string("the other end has begun anew")),
                other => return Err(stray(&other)),
            }
        }
    }
}

impl Addresses {
    /// What the log says of a member; a fixed voter has no addresses there.
    fn learn(&self, id: BrokerId, member: &Member) {
        if let Some((host, port)) = member.address(&self.listener) {
            self.voters.borrow_mut().insert(id, Place { host, port, directory: member.directory });
        }
    }

    fn directory_of(&self, target: BrokerId) -> TopicId {
        self.voters.borrow().get(&target).map_or(TopicId::default(), |place| place.directory)
    }

    async fn call(&self, target: BrokerId, link: &Link, request: &Bytes, limit: Duration) -> Result<Bytes, String> {
        let connection = self.connected(target, link).await?;
        connection.call_private(RAFT_API_KEY, request, limit).await.map_err(|error| error.to_string())
    }

    /// The connection that is open, or a new one.
    async fn connected(&self, target: BrokerId, link: &Link) -> Result<Connection, String> {
        let open = link.connection.borrow().clone().filter(|connection| connection.closed().is_none());
        if let Some(connection) = open {
            return Ok(connection);
        }
        if link.connecting.replace(true) {
            return Err(format!("voter {target} has not answered yet"));
        }
        let made = match self.place_of(target) {
            Ok(place) => self.connect(&place.host, place.port).await,
            Err(why) => Err(why),
        };
        link.connecting.set(false);
        let connection = made?;
        *link.connection.borrow_mut() = Some(connection.clone());
        Ok(connection)
    }

    fn place_of(&self, target: BrokerId) -> Result<Place, String> {
        let place = self.voters.borrow().get(&target).cloned();
        place.ok_or_else(|| format!("node {target} is not a voter of this quorum"))
    }

    async fn addresses_of(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        match select(pin!(self.io.resolve(host, port)), pin!(self.io.sleep(self.limit))).await {
            Either::Left((found, _)) => found.map_err(|error| format!("{host}: {error}")),
            Either::Right(_) => Err(format!("{host}: no address in time")),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Connection, String> {
        let mut why = format!("{host} has no address");
        for address in self.addresses_of(host, port).await? {
            match Connection::open(&self.io, address, CLIENT_ID, self.limit).await {
                Ok(connection) => return Ok(connection),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}

/// An answer to something else.
fn stray(answer: &Answer) -> Unreachable<Types> {
    Unreachable::from_string(format!("the answer {answer:?} to something else"))
}

/// The batch that an entry is.
fn batch_of(entry: Entry) -> Result<Bytes, Unreachable<Types>> {
    match entry.payload {
        Payload::Batch(MetadataBatch { bytes, .. }) | Payload::Voters(_, Some(bytes)) => Ok(bytes),
        other => Err(Unreachable::from_string(format!("{other} has no batch"))),
    }
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &Member) -> Peer {
        let id = super::entry::broker_id(target);
        self.0.learn(id, node);
        self.peer(id)
    }
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let batches = request.entries.into_iter().map(batch_of).collect::<Result<_, _>>()?;
        let append = Append { vote: request.vote, previous: request.prev_log_id, committed: request.leader_commit, batches };
        match self.asked(&Message::Append(append)).await? {
            Answer::Appended => Ok(AppendEntriesResponse::Success),
            Answer::AppendedTo(last) => Ok(AppendEntriesResponse::PartialSuccess(last)),
            // Nothing comes before nothing.
            Answer::Conflict if request.prev_log_id.is_some() => Ok(AppendEntriesResponse::Conflict),
            Answer::HigherVote(vote) => Ok(AppendEntriesResponse::HigherVote(vote)),
            other => Err(stray(&other).into()),
        }
    }

    async fn vote(&mut self, request: VoteRequest<Types>, _option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let is_transfer = request.leadership_transfer;
        self.ask_for_a_vote(Message::Vote(Ballot { vote: request.vote, last: request.last_log_id, is_transfer })).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let ballot = Ballot { vote: request.vote, last: request.last_log_id, is_transfer: false };
        self.ask_for_a_vote(Message::PreVote(ballot)).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        match select(pin!(self.send_snapshot(vote, &snapshot)), pin!(cancel)).await {
            Either::Left((sent, _)) => Ok(sent?),
            Either::Right((closed, _)) => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let (leader, last) = (*request.from_leader(), request.last_log_id().copied());
        let to = super::entry::broker_id(*request.to_node_id());
        match self.asked(&Message::TransferLeader { leader, to, last }).await? {
            Answer::Transferred(true) => Ok(Ok(())),
            // It says no more than that something is in the way; what it is shows in the next answers.
            Answer::Transferred(false) => Ok(Err(TransferLeaderError::LogNotFlushed { expected: last, actual: None })),
            other => Err(stray(&other).into()),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF[BACKOFF.len() - 1];
        Some(Backoff::new(BACKOFF.into_iter().chain(std::iter::repeat(last))))
    }
}
