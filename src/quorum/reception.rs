//! The leader's snapshot as it comes, part by part: into a file that counts for nothing until all of it is there and was read.
//!
//! One comes at a time. A part that does not follow the last one, or is of another snapshot or leader, is not taken: whoever sends is
//! told how much is here, and begins again. What is half here is thrown away when another begins, and by a start.

use super::codec::{Answer, SnapshotPart};
use super::entry::epoch_of;
use super::node::Node;
use super::snapshot::{self, SnapshotFile};
use super::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, Vote, term_of};
use crate::io::{File, OpenOptions};
use crate::model::Offset;
use openraft::vote::RaftLeaderId;
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;

/// The snapshot that is coming, if one is.
#[derive(Default)]
pub(super) struct Reception {
    /// A part is being taken.
    busy: Cell<bool>,
    coming: RefCell<Option<Coming>>,
}

/// The right to take a part; it ends also where nobody waits for the answer any more.
struct Turn<'a>(&'a Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[derive(Clone)]
struct Coming {
    vote: Vote,
    last: LogId,
    end: Offset,
    size: u64,
    into: SnapshotFile,
    file: File,
    /// So much of it is here.
    here: u64,
}

impl Coming {
    fn is_of(&self, part: &SnapshotPart) -> bool {
        (self.vote, self.last, self.end, self.size) == (part.vote, part.last, part.end, part.size)
    }
}

impl Node {
    /// Takes a part, and the whole snapshot with the last one.
    pub(super) async fn take_snapshot(&self, part: SnapshotPart) -> Result<Answer, String> {
        if self.reception.busy.replace(true) {
            return Err("another part of a snapshot is being taken".to_owned());
        }
        let _turn = Turn(&self.reception.busy);
        if let Some(own) = self.journal.vote().filter(|own| own.leader_id().term() > part.vote.leader_id().term()) {
            return Ok(Answer::HigherVote(own));
        }
        let behind = part.position.checked_add(part.bytes.len() as u64).filter(|behind| *behind <= part.size);
        let Some(behind) = behind else { return Err("a part that lies outside of its snapshot".to_owned()) };
        if part.position == 0 {
            self.begin(&part).await?;
        }
        let coming = self.reception.coming.borrow().clone();
        let Some(mut coming) = coming.filter(|coming| coming.is_of(&part) && coming.here == part.position) else {
            return Ok(Answer::SnapshotUpTo(0));
        };
        let failed = |error: std::io::Error| format!("{}: {error}", coming.into.path.display());
        if !part.bytes.is_empty() {
            coming.file.write_at(&self.io, part.position, &[part.bytes]).await.map_err(failed)?;
        }
        coming.here = behind;
        if coming.here < coming.size {
            *self.reception.coming.borrow_mut() = Some(coming);
            return Ok(Answer::SnapshotUpTo(behind));
        }
        self.reception.coming.borrow_mut().take();
        let installed = self.install(&coming).await;
        // It has its name now, or it is not wanted.
        match self.io.remove_file(&coming.into.path).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        installed
    }

    async fn begin(&self, part: &SnapshotPart) -> Result<(), String> {
        let before = self.reception.coming.borrow_mut().take();
        if let Some(before) = before {
            // That it cannot be removed now does no harm.
            let _ = self.io.remove_file(&before.into.path).await;
        }
        let epoch = epoch_of(term_of(&part.last)).map_err(|error| error.to_string())?;
        let into = snapshot::incoming(&self.journal.dir, part.end, epoch);
        let options = OpenOptions { truncate: true, ..OpenOptions::CREATE };
        let file = self.io.open(&into.path, options).await.map_err(|error| format!("{}: {error}", into.path.display()))?;
        let (vote, last, end, size) = (part.vote, part.last, part.end, part.size);
        *self.reception.coming.borrow_mut() = Some(Coming { vote, last, end, size, into, file, here: 0 });
        Ok(())
    }

    async fn install(&self, coming: &Coming) -> Result<Answer, String> {
        // What cannot be read is refused; openraft would take it for a broken disk.
        let loaded = snapshot::load(&self.io, &coming.into).await.map_err(|error| error.to_string())?;
        let committed = self.metadata.applied();
        if committed.is_some_and(|committed| committed < coming.last && committed.index() >= coming.last.index()) {
            return Err(format!("the snapshot ends at {}, but here is {committed:?}", coming.last));
        }
        // In which entry they were named, a snapshot does not say; it was not after its last one.
        let named = loaded.members.map(|members| StoredMembership::new(Some(coming.last), members));
        let last_membership = named.unwrap_or_else(|| self.journal.first_membership());
        let meta = SnapshotMeta { last_log_id: Some(coming.last), last_membership };
        let snapshot = Snapshot { meta, snapshot: coming.into.clone() };
        let installed = self.raft.install_full_snapshot(coming.vote, snapshot).await.map_err(|fatal| fatal.to_string())?;
        if installed.vote == coming.vote {
            tracing::info!(end = coming.end.0, "took over the leader's snapshot of the metadata");
            return Ok(Answer::SnapshotUpTo(coming.size));
        }
        Ok(Answer::HigherVote(installed.vote))
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::super::codec::{self, Message};
    use super::super::tests::how;
    use super::super::types::log_id;
    use super::super::{OpenQuorum, Quorum, QuorumHandle, encode_snapshot};
    use super::*;
    use crate::config::QuorumVoter;
    use crate::io::Io;
    use crate::io::sim::{Options, World};
    use crate::model::{BrokerId, TopicId};
    use bytes::Bytes;
    use std::path::Path;

    const DIR: &str = "/data";

    fn part(end: i64, size: usize, position: usize, bytes: &[u8]) -> SnapshotPart {
        SnapshotPart {
            vote: Vote::new_committed(5, 2),
            last: log_id(3, 40),
            end: Offset(end),
            size: size as u64,
            position: position as u64,
            bytes: Bytes::copy_from_slice(bytes),
        }
    }

    async fn send(handle: &QuorumHandle, part: SnapshotPart) -> Answer {
        let request = codec::encode_request("c", BrokerId(2), TopicId::default(), &Message::Snapshot(part)).unwrap();
        codec::decode_answer(Bytes::from(handle.receive(request).await)).unwrap()
    }

    /// Files of snapshots, whole ones and others.
    async fn files(io: &Io) -> Vec<String> {
        let entries = io.read_dir(&Quorum::log_path(Path::new(DIR))).await.unwrap();
        entries.into_iter().map(|entry| entry.name).filter(|name| name.contains("checkpoint")).collect()
    }

    #[test]
    fn a_snapshot_is_taken_when_all_of_it_is_there_and_nothing_of_it_before() {
        let world = World::new(1, Options::default());
        let host = world.add_host("v1", 1);
        world.run(host, |io| async move {
            io.create_dir_all(Path::new(DIR)).await.unwrap();
            let voter = |id| QuorumVoter { id: BrokerId(id), host: format!("v{id}"), port: 9093 };
            let how = OpenQuorum { voters: (1..=3).map(voter).collect(), ..how(Path::new(DIR)) };
            let quorum = Quorum::open(io.clone(), how.clone()).await.unwrap();
            let handle = quorum.handle();
            assert_eq!(send(&handle, part(50, 10, 0, b"half")).await, Answer::SnapshotUpTo(4));
            assert_eq!(send(&handle, part(50, 10, 6, b"half")).await, Answer::SnapshotUpTo(0), "there is a gap");
            assert_eq!(send(&handle, part(50, 11, 4, b"half")).await, Answer::SnapshotUpTo(0), "it is another one");
            assert!(matches!(send(&handle, part(50, 10, 8, b"half")).await, Answer::Refused(_)), "it lies outside");
            assert_eq!(send(&handle, part(60, 8, 0, b"half")).await, Answer::SnapshotUpTo(4));
            assert_eq!(files(&io).await.len(), 1, "the first is thrown away");
            assert!(matches!(send(&handle, part(60, 8, 4, b"half")).await, Answer::Refused(_)), "it cannot be read");
            assert_eq!((files(&io).await.len(), handle.failure()), (0, None));

            let content = encode_snapshot(&crate::controller::bootstrap_records(), 29, 3, 1, 1).unwrap();
            assert_eq!(send(&handle, part(50, content.len(), 0, &content[..7])).await, Answer::SnapshotUpTo(7));
            let all = content.len() as u64;
            assert_eq!(send(&handle, part(50, content.len(), 7, &content[7..])).await, Answer::SnapshotUpTo(all));
            assert_eq!((handle.image().next_offset(), handle.state().epoch), (Offset(50), 5));
            let (image, delta) = handle.take_committed().unwrap();
            assert!(delta.features && image.metadata_version().is_some());
            assert_eq!(files(&io).await, ["00000000000000000050-0000000003.checkpoint"]);

            // What is half there when the process ends is gone with the next.
            assert_eq!(send(&handle, part(70, 10, 0, b"half")).await, Answer::SnapshotUpTo(4));
            drop((quorum, handle));
            let quorum = Quorum::open(io.clone(), how).await.unwrap();
            assert_eq!((files(&io).await.len(), quorum.image().next_offset()), (1, Offset(50)));
        });
    }
}
