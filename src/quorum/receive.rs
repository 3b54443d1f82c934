//! What another voter sends, and the answer to it.
//!
//! openraft trusts those that it hears: it takes a message that breaks the protocol for a bug and ends the process. So what comes is judged
//! here first, and refused if no voter of this quorum can have sent it: another cluster, somebody who does not vote, a vote for somebody
//! else, an entry of a term that is yet to come, a batch that does not follow the one before it in this very log.

use super::codec::{self, Answer, Append, Ballot, Message};
use super::entry::{self, raft_id};
use super::node::Node;
use super::types::{Entry, LogId, Types, Vote, log_id, term_of};
use crate::model::{BrokerId, Offset, TopicId};
use crate::record::Batch;
use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use openraft::vote::RaftLeaderId;

impl Node {
    /// The answer to a message of another voter.
    pub(super) async fn receive(&self, request: Bytes) -> Vec<u8> {
        let answer = match self.judged(request) {
            Ok((sender, message)) => self.io.enter(self.take(sender, message)).await,
            Err(why) => Err(why),
        };
        codec::encode_answer(&answer.unwrap_or_else(Answer::Refused))
    }

    fn judged(&self, request: Bytes) -> Result<(BrokerId, Message), String> {
        let request = codec::decode_request(request).map_err(|error| error.to_string())?;
        if request.cluster_id != self.how.cluster_id {
            return Err(format!("this is cluster {:?}, not {:?}", self.how.cluster_id, request.cluster_id));
        }
        if !self.is_for_this_member(&request.directory) {
            let (node, directory) = (self.how.node, request.directory);
            return Err(format!(
                "node {node} has another directory than {directory}: its voter is to be removed and added again"
            ));
        }
        if request.sender == self.how.node || !self.may_speak(request.sender) {
            return Err(format!("node {} is no other voter of this quorum", request.sender));
        }
        Ok((request.sender, request.message))
    }

    /// Whether the directory that is meant is this one. Who votes with a disk that is gone is somebody else.
    fn is_for_this_member(&self, directory: &TopicId) -> bool {
        *directory == TopicId::default() || self.how.member.as_ref().is_some_and(|own| own.directory == *directory)
    }

    /// Where the log names the voters, one who lags behind does not know all of them yet, and must hear its leader all the same.
    fn may_speak(&self, sender: BrokerId) -> bool {
        self.journal.are_voters_in_log() || self.voters().contains(&sender)
    }

    async fn take(&self, sender: BrokerId, message: Message) -> Result<Answer, String> {
        match message {
            Message::Append(append) => self.take_entries(sender, append).await,
            Message::Vote(ballot) => self.take_ballot(sender, ballot, false).await,
            Message::PreVote(ballot) => self.take_ballot(sender, ballot, true).await,
            Message::Snapshot(part) => {
                self.check_leader(sender, &part.vote)?;
                check_term(&part.vote, Some(&part.last))?;
                self.take_snapshot(part).await
            }
            Message::TransferLeader { leader, to, last } => {
                self.check_leader(sender, &leader)?;
                check_term(&leader, last.as_ref())?;
                // Also for who is not meant: it gives up the lease of the old leader.
                let request = TransferLeaderRequest::new(leader, raft_id(to), last);
                let taken = self.raft.handle_transfer_leader(request).await;
                taken.map(|taken| Answer::Transferred(taken.is_ok())).map_err(|fatal| fatal.to_string())
            }
            Message::Join { id, member } => {
                if !self.journal.are_voters_in_log() {
                    return Err("the voters of this quorum are fixed".to_owned());
                }
                self.let_join(sender, id, member).await.map(|()| Answer::Joined)
            }
            Message::Describe => match &self.how.member {
                Some(member) => Ok(Answer::Described(member.clone())),
                None => Err("this node is alone".to_owned()),
            },
            Message::Hello => Ok(Answer::Hello { is_blank: self.journal.is_blank() }),
        }
    }

    /// A leader speaks for itself.
    fn check_leader(&self, sender: BrokerId, vote: &Vote) -> Result<(), String> {
        let is_own = vote.is_committed() && *vote.leader_id().node_id() == raft_id(sender);
        if is_own { Ok(()) } else { Err(format!("node {sender} does not lead by the vote {vote}")) }
    }

    async fn take_ballot(&self, sender: BrokerId, ballot: Ballot, is_pre_vote: bool) -> Result<Answer, String> {
        if ballot.vote.is_committed() || *ballot.vote.leader_id().node_id() != raft_id(sender) {
            return Err(format!("node {sender} does not stand for election by the vote {}", ballot.vote));
        }
        check_term(&ballot.vote, ballot.last.as_ref())?;
        let mut request = VoteRequest::<Types>::new(ballot.vote, ballot.last);
        request.leadership_transfer = ballot.is_transfer;
        let voted = if is_pre_vote { self.raft.pre_vote(request).await } else { self.raft.vote(request).await };
        let voted = voted.map_err(|error| error.to_string())?;
        Ok(Answer::Voted { vote: voted.vote, granted: voted.vote_granted, last: voted.last_log_id })
    }

    async fn take_entries(&self, sender: BrokerId, append: Append) -> Result<Answer, String> {
        self.check_leader(sender, &append.vote)?;
        check_term(&append.vote, append.previous.as_ref())?;
        check_term(&append.vote, append.committed.as_ref())?;
        let entries = self.entries_of(&append)?;
        let (vote, prev_log_id, leader_commit) = (append.vote, append.previous, append.committed);
        let request = AppendEntriesRequest { vote, prev_log_id, entries, leader_commit };
        let taken = self.raft.append_entries(request).await.map_err(|error| error.to_string())?;
        if !matches!(taken, AppendEntriesResponse::HigherVote(_)) {
            self.heard.set(self.io.now());
        }
        Ok(match taken {
            AppendEntriesResponse::Success => Answer::Appended,
            AppendEntriesResponse::PartialSuccess(last) => Answer::AppendedTo(last),
            AppendEntriesResponse::Conflict => Answer::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Answer::HigherVote(vote),
        })
    }

    /// The entries of a message: whole batches, each of which follows the one before.
    fn entries_of(&self, append: &Append) -> Result<Vec<Entry>, String> {
        let mut next = match &append.previous {
            Some(previous) => self.end_of(previous),
            None => Some(Offset::ZERO),
        };
        let (mut before, mut index) = (append.previous, append.previous.map_or(0, |previous| previous.index() + 1));
        let mut entries = Vec::with_capacity(append.batches.len());
        for bytes in &append.batches {
            let batch = Batch::parse(bytes).map_err(|error| error.to_string())?;
            let base = batch.header.base_offset;
            if batch.bytes.len() != bytes.len() || !batch.crc_is_valid() {
                return Err(format!("the batch at {base} is damaged"));
            }
            if next.is_some_and(|next| next != base) {
                return Err(format!("a batch at {base} where one at {} is due", next.unwrap_or_default()));
            }
            let entry = entry::decode(&batch, bytes.clone(), index, true)?;
            check_term(&append.vote, Some(&entry.log_id))?;
            if before.is_some_and(|before| term_of(&before) > term_of(&entry.log_id)) {
                return Err(format!("the epoch of the batch at {base} is less than that before it"));
            }
            (before, next) = (Some(entry.log_id), Some(batch.header.next_offset()));
            index = index.checked_add(1).ok_or("there are no more indexes")?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Where an entry ends here, if it is here.
    fn end_of(&self, id: &LogId) -> Option<Offset> {
        let known = self.journal.term_at(id.index())?;
        if log_id(known, id.index()) == *id { self.journal.end_of_known(id.index()) } else { None }
    }
}

/// Nothing is from a term after the one in which it is sent.
fn check_term(vote: &Vote, id: Option<&LogId>) -> Result<(), String> {
    match id {
        Some(id) if term_of(id) > vote.leader_id().term() => Err(format!("{id} is ahead of the vote {vote}")),
        _ => Ok(()),
    }
}
