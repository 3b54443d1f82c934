//! What a log cannot give although it was committed, and how that is remembered.
//!
//! **The problem.** A device may give back other bytes than it got, or none, of records that everybody was told are safe. What lies behind
//! them is good, so it must not be dropped; what is missing is on other replicas, which will give it (see `shard/repair`). Until then this
//! replica must not be counted as one that has it, also after a crash in the midst of the repair.
//!
//! **The design that follows.** What is known stands in a file beside the segments, `flumen.damaged`, which is on the device before
//! anything is done about it. Apache Kafka passes over files with such names. Lines of `key=value`:
//!
//! | Key | Value |
//! |---|---|
//! | `version` | 0 |
//! | `state` | `damaged`: the log has holes; `refetching`: it was cut before them and is being copied again |
//! | `hole` | first offset, first offset behind it or `end`, position where it begins, position where good batches go on (in the segment of that offset) |
//! | `until` | of `refetching`: where the log ended before it was cut |
//! | `epoch` | of `refetching`: the leader epoch in which it was cut |
//!
//! A file that says something else is itself damaged: then nothing of the log is believed.

use super::LogError;
use super::log::LogState;
use super::recovery::Loader;
use super::scan::{Scanned, Scanner, Step};
use super::segment::{LOG_SUFFIX, Segment};
use crate::model::{LeaderEpoch, Offset};
use std::fmt::Write as _;
use std::rc::Rc;

/// Name of the file.
pub(super) const DAMAGE_FILE: &str = "flumen.damaged";
/// Holes that are told apart; more of them count as one with all between.
const MAX_HOLES: usize = 1_000;
const VERSION: &str = "version=0";
const THE_END: &str = "end";

/// Committed records that the log cannot give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hole {
    /// Offset of the first.
    pub from: Offset,
    /// First offset behind them that is there; [`None`]: the log ends at `from`, and went on before.
    pub to: Option<Offset>,
    /// Where the bad bytes begin, in the segment that holds `from`.
    pub(super) start: u64,
    /// Where the batch of `to` lies, in the segment that holds `to`.
    pub(super) end: u64,
}

impl Hole {
    fn contains(&self, offset: Offset) -> bool {
        self.from <= offset && self.to.is_none_or(|to| offset < to)
    }
}

/// What is wrong with a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// It has holes: in order, at least one.
    Holes(Vec<Hole>),
    /// It was cut before the first hole, and what comes next is copied from the leader.
    Refetching {
        /// Where it ended before: up to there a leader may believe that it is here.
        until: Offset,
        /// Leader epoch in which it was cut.
        epoch: LeaderEpoch,
    },
}

impl Damage {
    /// First offset that is missing, of a log that has holes.
    pub fn first_hole(&self) -> Option<Offset> {
        match self {
            Self::Holes(holes) => holes.first().map(|hole| hole.from),
            Self::Refetching { .. } => None,
        }
    }

    fn format(&self) -> String {
        let mut text = format!("{VERSION}\n");
        let written = match self {
            Self::Holes(holes) => {
                text.push_str("state=damaged\n");
                holes.iter().try_for_each(|hole| {
                    let to = hole.to.map_or_else(|| THE_END.to_owned(), |to| to.to_string());
                    writeln!(text, "hole={} {to} {} {}", hole.from, hole.start, hole.end)
                })
            }
            Self::Refetching { until, epoch } => write!(text, "state=refetching\nuntil={until}\nepoch={epoch}\n"),
        };
        written.expect("a string takes all");
        text
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != VERSION {
            return None;
        }
        match lines.next()? {
            "state=damaged" => {
                let holes = lines.map(parse_hole).collect::<Option<Vec<Hole>>>()?;
                let in_order = holes.windows(2).all(|two| two[0].to.is_some_and(|to| to <= two[1].from));
                (in_order && !holes.is_empty()).then_some(Self::Holes(holes))
            }
            "state=refetching" => {
                let until = Offset(lines.next()?.strip_prefix("until=")?.parse().ok()?);
                let epoch = LeaderEpoch(lines.next()?.strip_prefix("epoch=")?.parse().ok()?);
                lines.next().is_none().then_some(Self::Refetching { until, epoch })
            }
            _ => None,
        }
    }
}

fn parse_hole(line: &str) -> Option<Hole> {
    let fields: Vec<&str> = line.strip_prefix("hole=")?.split(' ').collect();
    let [from, to, start, end] = fields[..] else { return None };
    let from = Offset(from.parse().ok()?);
    let to = match to {
        THE_END => None,
        to => Some(Offset(to.parse().ok()?)),
    };
    let is_hole = from >= Offset::ZERO && to.is_none_or(|to| to > from);
    is_hole.then_some(Hole { from, to, start: start.parse().ok()?, end: end.parse().ok()? })
}

/// All holes of two lists, in order; what touches is one.
fn merged(holes: impl Iterator<Item = Hole>) -> Vec<Hole> {
    let mut all: Vec<Hole> = holes.collect();
    all.sort_by_key(|hole| hole.from);
    let mut merged: Vec<Hole> = Vec::with_capacity(all.len());
    for hole in all {
        match merged.last_mut() {
            Some(last) if last.to.is_none_or(|to| to >= hole.from) => {
                if last.to.is_some_and(|to| hole.to.is_none_or(|other| other > to)) {
                    (last.to, last.end) = (hole.to, hole.end);
                }
            }
            _ => merged.push(hole),
        }
    }
    if merged.len() > MAX_HOLES {
        let last = *merged.last().expect("there are many");
        merged.truncate(MAX_HOLES);
        let widest = merged.last_mut().expect("there are many");
        (widest.to, widest.end) = (last.to, last.end);
    }
    merged
}

impl LogState {
    /// What is wrong with it, as far as anybody has looked.
    pub fn damage(&self) -> Option<Rc<Damage>> {
        self.damage.borrow().clone()
    }

    /// Whether committed records are missing of it, and those behind them are kept.
    pub fn has_holes(&self) -> bool {
        self.damage.borrow().as_ref().is_some_and(|damage| damage.first_hole().is_some())
    }

    /// Whether offsets may be missing of it without anything being wrong: compaction has been there, or will be.
    pub fn may_have_gaps(&self) -> bool {
        self.config().cleanup_policy.compact || self.gaps_below.get() > self.log_start.get()
    }

    pub(super) fn holes(&self) -> Vec<Hole> {
        match self.damage.borrow().as_deref() {
            Some(Damage::Holes(holes)) => holes.clone(),
            _ => Vec::new(),
        }
    }

    /// Up to where can be read from `offset` on.
    pub(super) fn whole_from(&self, offset: Offset, upper: Offset) -> Result<Offset, LogError> {
        let damage = self.damage.borrow();
        let Some(Damage::Holes(holes)) = damage.as_deref() else { return Ok(upper) };
        // Where the log has lost its end, what is appended since is good.
        let mut of_concern = holes.iter().filter(|hole| hole.to.is_some_and(|to| to > offset));
        match of_concern.next() {
            Some(hole) if hole.contains(offset) => Err(LogError::Damaged { offset, to: hole.to }),
            Some(hole) => Ok(upper.min(hole.from)),
            None => Ok(upper),
        }
    }

    /// Where the last hole before `offset` ends in the segment, if one does.
    pub(super) fn hole_before(&self, segment: &Segment, offset: Offset) -> Option<u64> {
        let holes = self.holes();
        let before = holes.iter().rev().find(|hole| hole.to.is_some_and(|to| to <= offset))?;
        let holder = self.segment_of(before.to?)?;
        (holder.base == segment.base).then_some(before.end)
    }

    /// Where the hole that begins at `offset` begins in the segment, if one does.
    pub(super) fn hole_at(&self, segment: &Segment, offset: Offset) -> Option<u64> {
        let hole = self.holes().into_iter().find(|hole| hole.from == offset && hole.to.is_some())?;
        let holder = self.segment_of(offset.min(self.log_end.get()))?;
        // In front of the segment that `offset` would begin, if that is the one that is asked.
        (holder.base == segment.base).then_some(hole.start)
    }

    /// Remembers holes that were found, durably. Whether there are more than were known.
    pub async fn note_holes(&self, found: &[Hole]) -> Result<bool, LogError> {
        let _turn = self.writer.enter().await;
        self.check_usable()?;
        let known = self.holes();
        let all = merged(known.iter().chain(found).copied());
        if all == known || all.is_empty() {
            return Ok(false);
        }
        self.save_damage(Some(Damage::Holes(all))).await?;
        Ok(true)
    }

    /// The log was cut before its first hole, durably; it ended at `until`.
    pub async fn begin_refetch(&self, until: Offset, epoch: LeaderEpoch) -> Result<(), LogError> {
        let _turn = self.writer.enter().await;
        self.check_usable()?;
        let last = self.holes().last().and_then(|hole| hole.to);
        let until = last.map_or(until, |to| to.max(until));
        self.save_damage(Some(Damage::Refetching { until, epoch })).await
    }

    /// Nothing is missing any more, or nobody has what is.
    pub async fn forget_damage(&self) -> Result<(), LogError> {
        let _turn = self.writer.enter().await;
        self.check_usable()?;
        if self.damage.borrow().is_none() {
            return Ok(());
        }
        self.save_damage(None).await
    }

    async fn save_damage(&self, damage: Option<Damage>) -> Result<(), LogError> {
        let dir = self.dir();
        save(&self.io, &dir, damage.as_ref()).await?;
        *self.damage.borrow_mut() = damage.map(Rc::new);
        Ok(())
    }
}

async fn save(io: &crate::io::Io, dir: &std::path::Path, damage: Option<&Damage>) -> Result<(), LogError> {
    let path = dir.join(DAMAGE_FILE);
    match damage {
        Some(damage) => {
            let content = damage.format().into();
            io.replace_file(&path, content).await.map_err(|e| LogError::storage(&path, "replace", &e))
        }
        None => {
            match io.remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(LogError::storage(&path, "remove", &error));
                }
                _ => {}
            }
            io.sync_dir(dir).await.map_err(|e| LogError::storage(dir, "fsync", &e))
        }
    }
}

/// What a start knows of damage, and finds.
#[derive(Default)]
pub(super) struct FoundDamage {
    /// What an earlier life of the broker has left in the file.
    known: Option<Damage>,
    found: Vec<Hole>,
    /// Everything below was on the device, and committed: what is missing of it was lost later.
    promised: Offset,
}

impl FoundDamage {
    /// Whether what is bad at `offset` is a hole rather than the end of what an unclean stop has left.
    pub(super) fn is_hole(&self, offset: Offset) -> bool {
        let is_known = match &self.known {
            Some(Damage::Holes(holes)) => holes.iter().any(|hole| hole.to.is_some() && hole.contains(offset)),
            _ => false,
        };
        offset < self.promised || is_known
    }

    pub(super) fn push(&mut self, hole: Hole) {
        self.found.push(hole);
    }
}

impl Loader {
    /// What is known of the log before it is looked at. `promised`: everything below was on the device, and committed.
    pub(super) async fn known_damage(&self, promised: Offset) -> Result<FoundDamage, LogError> {
        let path = self.dir.join(DAMAGE_FILE);
        let known = self.read_optional(&path).await?.map(|content| {
            Damage::parse(&content).unwrap_or_else(|| {
                tracing::error!(path = %path.display(), "it makes no sense, so nothing of this log is believed");
                Damage::Holes(vec![Hole { from: Offset::ZERO, to: None, start: 0, end: 0 }])
            })
        });
        Ok(FoundDamage { known, found: Vec::new(), promised })
    }

    /// What is wrong with the log that was found, which ends at `log_end`; remembered before anything else is done with it.
    pub(super) async fn settle_damage(&self, damage: FoundDamage, log_end: Offset) -> Result<Option<Damage>, LogError> {
        let FoundDamage { known, mut found, promised } = damage;
        if log_end < promised && !matches!(known, Some(Damage::Refetching { .. })) {
            found.push(Hole { from: log_end, to: None, start: 0, end: 0 });
        }
        for hole in &found {
            let to = hole.to.unwrap_or(promised);
            tracing::error!(dir = %self.dir.display(), from = %hole.from, %to, "committed records are damaged or missing");
        }
        let earlier = match &known {
            // What was behind them was torn off meanwhile.
            Some(Damage::Holes(holes)) => holes.iter().filter(|hole| hole.from < log_end || hole.to.is_none()).copied().collect(),
            _ => Vec::new(),
        };
        let now = match merged(earlier.into_iter().chain(found.iter().copied())) {
            holes if !holes.is_empty() => Some(Damage::Holes(holes)),
            _ => known.clone().filter(|known| matches!(known, Damage::Refetching { .. })),
        };
        if now != known {
            self.changing();
            save(&self.io, &self.dir, now.as_ref()).await?;
        }
        Ok(now)
    }

    /// Where `scanner` has met something bad, behind the batch that ends in front of `end` at `good`: if that is a hole, the walk goes on
    /// behind it with the batch that comes next, whose offset is returned.
    pub(super) async fn step_over(
        &self,
        damage: &mut FoundDamage,
        segment: &Rc<Segment>,
        limit: Option<Offset>,
        (end, good): (Offset, u64),
    ) -> Result<Option<(Offset, Scanner)>, LogError> {
        if !damage.is_hole(end) {
            return Ok(None);
        }
        let file = segment.file(&self.io).await?;
        let mut scanner = Scanner::checked(file, good, segment.size.get(), end);
        let next = scanner.skip_damage(&self.io, limit).await;
        let next = next.map_err(|e| LogError::storage(&segment.path(LOG_SUFFIX), "read", &e))?;
        let Some(next) = next else { return Ok(None) };
        damage.push(Hole { from: end, to: Some(next.header.base_offset), start: good, end: next.position });
        // Nobody finds the way over the hole by walking.
        segment.index_next_batch();
        Ok(Some((next.header.base_offset, scanner)))
    }
}

impl Scanner {
    /// Goes on behind bytes that are no whole batch, to the next one that is: its checksum holds, its offset may follow, and behind it
    /// comes another one, or the end (a record may hold what looks like a batch). It is the next that comes.
    pub(super) async fn skip_damage(&mut self, io: &crate::io::Io, limit: Option<Offset>) -> std::io::Result<Option<Scanned>> {
        // Mostly a bit of a record is wrong, and the header says where the next batch is.
        if let Some(next) = self.behind_header(io).await?
            && let Some(found) = self.batch_at(io, next, limit).await?
        {
            return Ok(Some(found));
        }
        let mut at = self.position() + 1;
        while let Some(candidate) = self.next_candidate(io, at).await? {
            if let Some(found) = self.batch_at(io, candidate, limit).await? {
                return Ok(Some(found));
            }
            at = candidate + 1;
        }
        Ok(None)
    }

    /// The batch at `position`, if it is one and so is what comes next; the walk is there then.
    async fn batch_at(&mut self, io: &crate::io::Io, position: u64, limit: Option<Offset>) -> std::io::Result<Option<Scanned>> {
        let mut probe = self.checked_from(position);
        let Step::Batch(found) = probe.next(io).await? else { return Ok(None) };
        let is_followed = matches!(probe.next(io).await?, Step::Batch(_) | Step::End);
        let is_below = limit.is_none_or(|limit| found.last_offset() < limit);
        if !is_followed || !is_below {
            return Ok(None);
        }
        *self = self.checked_from(position);
        Ok(Some(found))
    }
}

#[cfg(test)]
#[path = "damage_tests.rs"]
mod tests;
