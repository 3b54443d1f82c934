//! What voters say to each other, as bytes: the body of a request under [`super::RAFT_API_KEY`] and of its answer.
//!
//! A request is the version (one byte), the kind (one byte), the cluster's id, the sender's node id, the directory for which it is meant
//! (zero where the voters are fixed), and what its kind has; an answer is the
//! version, the kind, and what that has. Numbers are big-endian. An epoch takes 32 bits and is never negative, an entry's index 64; what
//! may be missing has a byte before it. **Entries are the batches of the log**, one after the other, each behind its length: so they stand in
//! every voter's log to the byte, and index and term are not said twice: the first entry follows the one that the message names, and a
//! term is its batch's epoch.
//!
//! Whoever reads checks each length against what is left before anything is allocated, and gives an error for everything that this
//! version cannot have written. Another version is not understood: voters of one quorum run the same one, or the next.

use super::members::{Member, MemberEndpoint};
use super::types::{LeaderId, LogId, Vote, log_id, term_of};
use crate::model::{BrokerId, Offset, TopicId};
use crate::protocol::{DecodeError, EncodeError, Reader, StrBytes, Writer};
use bytes::Bytes;
use openraft::vote::RaftLeaderId;

/// Begins each message.
const VERSION: i8 = 0;
/// A batch takes at least this: its header.
const LEAST_BATCH: usize = crate::record::BATCH_HEADER_BYTES;
/// And a listener this: two lengths and a port.
const LEAST_ENDPOINT: usize = 6;

/// A message cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum CodecError {
    /// It is too short, or a length in it is wrong.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// Another version.
    #[error("version {0} of the quorum's messages is not known")]
    Version(i8),
    /// A kind that this version does not have.
    #[error("a message of kind {0} is not known")]
    Kind(i8),
    /// A number that cannot be.
    #[error("{0}")]
    Impossible(&'static str),
    /// Bytes behind the end.
    #[error("{0} bytes follow the message")]
    TooLong(usize),
}

/// A request with who sends it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Request {
    pub(super) cluster_id: String,
    pub(super) sender: BrokerId,
    /// The directory of the receiver, by the voters as the sender knows them.
    pub(super) directory: TopicId,
    pub(super) message: Message,
}

/// What is asked.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Message {
    /// The leader's entries, or none, to say that it leads.
    Append(Append),
    /// A candidate asks for a vote.
    Vote(Ballot),
    /// Somebody asks whether it would get one (KIP-996).
    PreVote(Ballot),
    /// A piece of the leader's snapshot.
    Snapshot(SnapshotPart),
    /// The leader asks to be followed by a voter, and tells all.
    TransferLeader { leader: Vote, to: BrokerId, last: Option<LogId> },
    /// A voter without any data asks whether the receiver has some.
    Hello,
    /// The leader asks a voter where it listens and what it knows.
    Describe,
    /// A controller that does not vote wants to be given the log (KIP-853); whoever does not lead hands it on.
    Join { id: BrokerId, member: Member },
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Append {
    pub(super) vote: Vote,
    /// The entry before the first.
    pub(super) previous: Option<LogId>,
    pub(super) committed: Option<LogId>,
    pub(super) batches: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Ballot {
    pub(super) vote: Vote,
    pub(super) last: Option<LogId>,
    /// The leader wants it.
    pub(super) is_transfer: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct SnapshotPart {
    pub(super) vote: Vote,
    /// The last entry in the snapshot.
    pub(super) last: LogId,
    /// Offset behind it.
    pub(super) end: Offset,
    /// Bytes of the whole snapshot.
    pub(super) size: u64,
    /// Where `bytes` begin.
    pub(super) position: u64,
    pub(super) bytes: Bytes,
}

/// What is answered.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Answer {
    /// The entries are in the log.
    Appended,
    /// Those up to this one are.
    AppendedTo(Option<LogId>),
    /// The entry before the first is not.
    Conflict,
    /// A newer vote is known.
    HigherVote(Vote),
    Voted {
        vote: Vote,
        granted: bool,
        last: Option<LogId>,
    },
    /// Of a snapshot, everything before this position is here; all of it, and it is in place, if that is its size.
    SnapshotUpTo(u64),
    /// Whether the receiver stands for election now.
    Transferred(bool),
    /// Whether the receiver has no data either.
    Hello {
        is_blank: bool,
    },
    /// The receiver is given the log.
    Joined,
    /// Where the receiver listens, and what it knows.
    Described(Member),
    /// Why nothing was done.
    Refused(String),
}

/// # Errors
/// A part that is longer than its length can say.
pub(super) fn encode_request(
    cluster_id: &str,
    sender: BrokerId,
    directory: TopicId,
    message: &Message,
) -> Result<Bytes, EncodeError> {
    let mut w = Writer::contiguous();
    w.i8(VERSION);
    w.i8(match message {
        Message::Append(_) => 0,
        Message::Vote(_) => 1,
        Message::PreVote(_) => 2,
        Message::Snapshot(_) => 3,
        Message::TransferLeader { .. } => 4,
        Message::Hello => 5,
        Message::Join { .. } => 6,
        Message::Describe => 7,
    });
    w.string(false, &StrBytes::from(cluster_id))?;
    w.i32(sender.0);
    w.uuid(directory);
    match message {
        Message::Append(append) => {
            put_vote(&mut w, &append.vote);
            put_optional(&mut w, append.previous.as_ref());
            put_optional(&mut w, append.committed.as_ref());
            w.array(false, &append.batches, |w, batch| w.bytes(false, batch))?;
        }
        Message::Vote(ballot) | Message::PreVote(ballot) => {
            put_vote(&mut w, &ballot.vote);
            put_optional(&mut w, ballot.last.as_ref());
            w.bool(ballot.is_transfer);
        }
        Message::Snapshot(part) => {
            put_vote(&mut w, &part.vote);
            put_log_id(&mut w, &part.last);
            w.i64(part.end.0);
            w.i64(part.size as i64);
            w.i64(part.position as i64);
            w.bytes(false, &part.bytes)?;
        }
        Message::TransferLeader { leader, to, last } => {
            put_vote(&mut w, leader);
            w.i32(to.0);
            put_optional(&mut w, last.as_ref());
        }
        Message::Hello | Message::Describe => {}
        Message::Join { id, member } => {
            w.i32(id.0);
            put_member(&mut w, member)?;
        }
    }
    Ok(w.into_bytes())
}

/// # Errors
/// See [`CodecError`].
pub(super) fn decode_request(bytes: Bytes) -> Result<Request, CodecError> {
    let mut r = Reader::new(bytes);
    let kind = begin(&mut r)?;
    let cluster_id = r.string(false)?.to_string();
    let sender = BrokerId(not_negative(r.i32()?)?);
    let directory = r.uuid()?;
    let message = match kind {
        0 => Message::Append(Append {
            vote: vote(&mut r)?,
            previous: optional(&mut r)?,
            committed: optional(&mut r)?,
            batches: r.array(false, LEAST_BATCH, |r| r.bytes(false))?,
        }),
        1 => Message::Vote(ballot(&mut r)?),
        2 => Message::PreVote(ballot(&mut r)?),
        3 => Message::Snapshot(SnapshotPart {
            vote: vote(&mut r)?,
            last: one_log_id(&mut r)?,
            end: Offset(size(&mut r)? as i64),
            size: size(&mut r)?,
            position: size(&mut r)?,
            bytes: r.bytes(false)?,
        }),
        4 => Message::TransferLeader { leader: vote(&mut r)?, to: BrokerId(not_negative(r.i32()?)?), last: optional(&mut r)? },
        5 => Message::Hello,
        6 => Message::Join { id: BrokerId(not_negative(r.i32()?)?), member: member(&mut r)? },
        7 => Message::Describe,
        other => return Err(CodecError::Kind(other)),
    };
    ends(&r)?;
    Ok(Request { cluster_id, sender, directory, message })
}

/// An answer; a text that is too long is cut.
pub(super) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut w = Writer::contiguous();
    w.i8(VERSION);
    w.i8(match answer {
        Answer::Appended => 0,
        Answer::AppendedTo(_) => 1,
        Answer::Conflict => 2,
        Answer::HigherVote(_) => 3,
        Answer::Voted { .. } => 4,
        Answer::SnapshotUpTo(_) => 5,
        Answer::Transferred(_) => 6,
        Answer::Hello { .. } => 7,
        Answer::Refused(_) => 8,
        Answer::Joined => 9,
        Answer::Described(_) => 10,
    });
    match answer {
        Answer::Appended | Answer::Conflict | Answer::Joined => {}
        Answer::AppendedTo(last) => put_optional(&mut w, last.as_ref()),
        Answer::HigherVote(vote) => put_vote(&mut w, vote),
        Answer::Voted { vote, granted, last } => {
            put_vote(&mut w, vote);
            w.bool(*granted);
            put_optional(&mut w, last.as_ref());
        }
        Answer::SnapshotUpTo(next) => w.i64(*next as i64),
        Answer::Transferred(flag) | Answer::Hello { is_blank: flag } => w.bool(*flag),
        Answer::Described(member) => put_member(&mut w, member).expect("listeners that were configured"),
        Answer::Refused(why) => {
            let short: String = why.chars().take(1_000).collect();
            w.string(false, &StrBytes::from(short.as_str())).expect("a thousand characters fit");
        }
    }
    w.into_bytes().to_vec()
}

/// # Errors
/// See [`CodecError`].
pub(super) fn decode_answer(bytes: Bytes) -> Result<Answer, CodecError> {
    let mut r = Reader::new(bytes);
    let answer = match begin(&mut r)? {
        0 => Answer::Appended,
        1 => Answer::AppendedTo(optional(&mut r)?),
        2 => Answer::Conflict,
        3 => Answer::HigherVote(vote(&mut r)?),
        4 => Answer::Voted { vote: vote(&mut r)?, granted: r.bool()?, last: optional(&mut r)? },
        5 => Answer::SnapshotUpTo(size(&mut r)?),
        6 => Answer::Transferred(r.bool()?),
        7 => Answer::Hello { is_blank: r.bool()? },
        8 => Answer::Refused(r.string(false)?.to_string()),
        9 => Answer::Joined,
        10 => Answer::Described(member(&mut r)?),
        other => return Err(CodecError::Kind(other)),
    };
    ends(&r)?;
    Ok(answer)
}

fn begin(r: &mut Reader) -> Result<i8, CodecError> {
    match r.i8()? {
        VERSION => Ok(r.i8()?),
        other => Err(CodecError::Version(other)),
    }
}

fn ends(r: &Reader) -> Result<(), CodecError> {
    match r.remaining() {
        0 => Ok(()),
        left => Err(CodecError::TooLong(left)),
    }
}

fn not_negative(number: i32) -> Result<i32, CodecError> {
    if number < 0 { Err(CodecError::Impossible("an epoch or a node's id is negative")) } else { Ok(number) }
}

fn size(r: &mut Reader) -> Result<u64, CodecError> {
    u64::try_from(r.i64()?).map_err(|_| CodecError::Impossible("an index, an offset or a size is negative"))
}

fn ballot(r: &mut Reader) -> Result<Ballot, CodecError> {
    Ok(Ballot { vote: vote(r)?, last: optional(r)?, is_transfer: r.bool()? })
}

fn put_member(w: &mut Writer, member: &Member) -> Result<(), EncodeError> {
    w.uuid(member.directory);
    w.i16(member.kraft_versions.0);
    w.i16(member.kraft_versions.1);
    w.array(false, &member.endpoints, |w, endpoint| {
        w.string(false, &StrBytes::from(endpoint.listener.as_str()))?;
        w.string(false, &StrBytes::from(endpoint.host.as_str()))?;
        w.u16(endpoint.port);
        Ok(())
    })
}

fn member(r: &mut Reader) -> Result<Member, CodecError> {
    Ok(Member {
        directory: r.uuid()?,
        kraft_versions: (r.i16()?, r.i16()?),
        endpoints: r.array(false, LEAST_ENDPOINT, |r| {
            let (listener, host) = (r.string(false)?.to_string(), r.string(false)?.to_string());
            Ok(MemberEndpoint { listener, host, port: r.u16()? })
        })?,
    })
}

fn put_vote(w: &mut Writer, vote: &Vote) {
    let leader: &LeaderId = vote.leader_id();
    w.i32(leader.term() as i32);
    w.i32(*leader.node_id() as i32);
    w.bool(vote.is_committed());
}

fn vote(r: &mut Reader) -> Result<Vote, CodecError> {
    let (term, node) = (not_negative(r.i32()?)? as u64, not_negative(r.i32()?)? as u64);
    Ok(if r.bool()? { Vote::new_committed(term, node) } else { Vote::new(term, node) })
}

fn put_log_id(w: &mut Writer, id: &LogId) {
    w.i32(term_of(id) as i32);
    w.i64(id.index() as i64);
}

fn one_log_id(r: &mut Reader) -> Result<LogId, CodecError> {
    let term = not_negative(r.i32()?)? as u64;
    Ok(log_id(term, size(r)?))
}

fn put_optional(w: &mut Writer, id: Option<&LogId>) {
    w.bool(id.is_some());
    if let Some(id) = id {
        put_log_id(w, id);
    }
}

fn optional(r: &mut Reader) -> Result<Option<LogId>, CodecError> {
    if r.bool()? { Ok(Some(one_log_id(r)?)) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn votes() -> impl Strategy<Value = Vote> {
        (0..=i32::MAX as u64, 0..=i32::MAX as u64, any::<bool>())
            .prop_map(|(term, node, committed)| if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) })
    }

    fn ids() -> impl Strategy<Value = LogId> {
        (0..=i32::MAX as u64, 0..=i64::MAX as u64).prop_map(|(term, index)| log_id(term, index))
    }

    fn maybe() -> impl Strategy<Value = Option<LogId>> {
        proptest::option::of(ids())
    }

    fn long(at_least: usize) -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), at_least..at_least + 80).prop_map(Bytes::from)
    }

    fn ballots() -> impl Strategy<Value = Ballot> {
        (votes(), maybe(), any::<bool>()).prop_map(|(vote, last, is_transfer)| Ballot { vote, last, is_transfer })
    }

    fn messages() -> impl Strategy<Value = Message> {
        let sizes = || 0..=i64::MAX as u64;
        prop_oneof![
            (votes(), maybe(), maybe(), proptest::collection::vec(long(LEAST_BATCH), 0..4))
                .prop_map(|(vote, previous, committed, batches)| Message::Append(Append { vote, previous, committed, batches })),
            ballots().prop_map(Message::Vote),
            ballots().prop_map(Message::PreVote),
            (votes(), ids(), sizes(), sizes(), sizes(), long(0)).prop_map(|(vote, last, end, size, position, bytes)| {
                Message::Snapshot(SnapshotPart { vote, last, end: Offset(end as i64), size, position, bytes })
            }),
            (votes(), 0..=i32::MAX, maybe()).prop_map(|(leader, to, last)| Message::TransferLeader {
                leader,
                to: BrokerId(to),
                last
            }),
            Just(Message::Hello),
            (0..=i32::MAX, any::<[u8; 16]>(), proptest::collection::vec(("[A-Z]{0,9}", "[a-z.]{0,9}", any::<u16>()), 0..3))
                .prop_map(|(id, directory, endpoints)| {
                    let endpoint = |(listener, host, port)| MemberEndpoint { listener, host, port };
                    let endpoints = endpoints.into_iter().map(endpoint).collect();
                    Message::Join { id: BrokerId(id), member: Member::new(TopicId(directory), endpoints) }
                }),
        ]
    }

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            Just(Answer::Appended),
            maybe().prop_map(Answer::AppendedTo),
            Just(Answer::Conflict),
            votes().prop_map(Answer::HigherVote),
            (votes(), any::<bool>(), maybe()).prop_map(|(vote, granted, last)| Answer::Voted { vote, granted, last }),
            (0..=i64::MAX as u64).prop_map(Answer::SnapshotUpTo),
            any::<bool>().prop_map(Answer::Transferred),
            Just(Answer::Joined),
            any::<bool>().prop_map(|is_blank| Answer::Hello { is_blank }),
            "[a-zé ]{0,40}".prop_map(Answer::Refused),
        ]
    }

    proptest! {
        #[test]
        fn what_is_said_is_understood_and_no_piece_of_it(message in messages(), cluster_id in "[a-zA-Z0-9_-]{0,22}") {
            let directory = TopicId([9; 16]);
            let bytes = encode_request(&cluster_id, BrokerId(7), directory, &message).unwrap();
            let request = Request { cluster_id, sender: BrokerId(7), directory, message };
            prop_assert_eq!(decode_request(bytes.clone()), Ok(request));
            for cut in 0..bytes.len() {
                prop_assert!(decode_request(bytes.slice(..cut)).is_err(), "cut at {}", cut);
            }
            let longer = Bytes::from([&bytes[..], b"x"].concat());
            prop_assert_eq!(decode_request(longer), Err(CodecError::TooLong(1)));
        }

        #[test]
        fn what_is_answered_is_understood_and_no_piece_of_it(answer in answers()) {
            let bytes = Bytes::from(encode_answer(&answer));
            prop_assert_eq!(decode_answer(bytes.clone()), Ok(answer));
            for cut in 0..bytes.len() {
                prop_assert!(decode_answer(bytes.slice(..cut)).is_err(), "cut at {}", cut);
            }
        }

        #[test]
        fn whatever_comes_is_no_more_than_an_error(random in proptest::collection::vec(any::<u8>(), 0..200), message in messages(),
                                                  at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            // With a version and a kind that are known, so that it gets somewhere.
            let mut begun = random.clone();
            if begun.len() > 1 {
                begun[0] = 0;
                begun[1] %= 10;
            }
            for bytes in [random, begun] {
                let _ = decode_request(Bytes::from(bytes.clone()));
                let _ = decode_answer(Bytes::from(bytes));
            }
            let mut bytes = encode_request("c", BrokerId(1), TopicId::default(), &message).unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(request) = decode_request(Bytes::from(bytes.clone())) {
                let again = encode_request(&request.cluster_id, request.sender, request.directory, &request.message).unwrap();
                prop_assert_eq!(decode_request(again), Ok(request));
            }
        }
    }

    #[test]
    fn other_versions_and_kinds_are_refused() {
        assert_eq!(decode_request(Bytes::from_static(&[1, 0])), Err(CodecError::Version(1)));
        assert_eq!(decode_answer(Bytes::from_static(&[0, 99])), Err(CodecError::Kind(99)));
        // A billion batches in a message of a few bytes.
        let mut bytes = encode_request(
            "c",
            BrokerId(1),
            TopicId::default(),
            &Message::Append(Append { vote: Vote::new_committed(1, 1), previous: None, committed: None, batches: vec![] }),
        )
        .unwrap()
        .to_vec();
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&1_000_000_000_i32.to_be_bytes());
        assert!(matches!(decode_request(Bytes::from(bytes)), Err(CodecError::Malformed(_))));
    }
}
