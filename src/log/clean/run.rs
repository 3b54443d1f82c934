//! One round of a log: the map of its dirty part, then group after group of segments from the first one on.

use super::choose::{Cleanable, SegmentFacts, Size, find, first_dirty, group};
use super::filter::{Indexing, LastRecord, Round};
use super::map::OffsetMap;
use super::output::{self, Output};
use super::swap::Source;
use super::throttle::Throttle;
use super::transactions::CleanedTransactions;
use crate::io::OpenOptions;
use crate::log::chunks::Chunks;
use crate::log::log::LogState;
use crate::log::segment::{INDEX_SUFFIX, LOG_SUFFIX, Segment, TIME_INDEX_SUFFIX};
use crate::log::{LogConfig, LogError};
use crate::model::{Offset, ProducerId};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Least and most bytes that are read at once.
const MIN_CHUNK: usize = 64 << 10;
const MAX_CHUNK: usize = 4 << 20;

/// What one core's compaction may take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CleanerLimits {
    /// Bytes of the map of keys: this core's part of `log.cleaner.dedupe.buffer.size`.
    pub dedupe_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: how full the map gets.
    pub load_factor: f64,
    /// Bytes that are read at once: this core's part of `log.cleaner.io.buffer.size`.
    pub chunk_bytes: usize,
    /// This core's part of `log.cleaner.io.max.bytes.per.second`.
    pub bytes_per_second: f64,
}

/// Cleans logs, one at a time.
pub struct Cleaner {
    limits: Cell<CleanerLimits>,
    throttle: Throttle,
    stopped: Cell<bool>,
}

/// What a round did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CleanReport {
    /// Everything below is clean now; `None` if the round was given up, because the log was stopped, cut or configured anew.
    pub clean_up_to: Option<Offset>,
    /// Bytes of segments that were read, twice for the dirty part.
    pub bytes_read: u64,
    /// Bytes of segments that were written.
    pub bytes_written: u64,
    /// Keys of the dirty part.
    pub keys: u64,
    /// Records that were looked at.
    pub records: u64,
    /// Records that were kept.
    pub records_kept: u64,
}

/// While this lives, the log stays where it is: cleaned files are written beside those that they take the place of.
struct Cleaning<'a>(&'a LogState);

impl Drop for Cleaning<'_> {
    fn drop(&mut self) {
        self.0.cleaning.set(false);
        self.0.cleaning_ended.notify_all();
    }
}

impl Cleaner {
    /// A cleaner that keeps within `limits`.
    pub fn new(limits: CleanerLimits) -> Self {
        Self { limits: Cell::new(limits), throttle: Throttle::new(limits.bytes_per_second), stopped: Cell::new(false) }
    }

    /// Keeps within other limits from now on; a map of keys that is there stays until its round is over.
    pub fn set_limits(&self, limits: CleanerLimits) {
        self.limits.set(limits);
        self.throttle.set_rate(limits.bytes_per_second);
    }

    /// Whatever is under way ends soon, with nothing half done.
    pub fn stop(&self) {
        self.stopped.set(true);
    }

    fn chunk_bytes(&self) -> u64 {
        self.limits.get().chunk_bytes.clamp(MIN_CHUNK, MAX_CHUNK) as u64
    }
}

impl LogState {
    /// Everything below has been cleaned, as far as it is known; for `cleaner-offset-checkpoint`.
    pub fn clean_up_to(&self) -> Option<Offset> {
        self.cleaned.get()
    }

    /// What could be cleaned below `limit`, the least of high watermark and last stable offset; `None` if there is nothing.
    ///
    /// # Errors
    /// The device fails, or the log is damaged.
    pub async fn cleanable(&self, limit: Offset) -> Result<Option<Cleanable>, LogError> {
        let config = self.config();
        if !config.cleanup_policy.compact || self.check_usable().is_err() || self.moving.get() {
            return Ok(None);
        }
        let _cleaning = self.begin_cleaning();
        let segments: Vec<_> = self.segments.borrow().values().cloned().collect();
        let from = first_dirty(self.cleaned.get(), self.log_start.get(), self.log_end.get());
        let untimed = |segment: &Rc<Segment>| SegmentFacts {
            base: segment.base,
            bytes: segment.size.get(),
            first_timestamp: None,
            largest_timestamp: None,
        };
        let mut facts: Vec<SegmentFacts> = segments.iter().map(untimed).collect();
        let now_ms = self.io.wall_clock_ms();
        let found = find(&facts, from, limit, &config, now_ms);
        let timed = config.min_compaction_lag_ms > 0 || config.max_compaction_lag_ms < i64::MAX;
        if !timed || found.dirty_bytes == 0 {
            return Ok(Some(found).filter(|found| found.dirty_bytes > 0));
        }
        for (at, segment) in segments.iter().enumerate().rev().skip(1) {
            if segments[at + 1].base <= from {
                break;
            }
            let timestamps = self.timestamps(segment).await;
            if segment.removed.get() {
                return Ok(None);
            }
            let (first, largest) = timestamps?;
            (facts[at].first_timestamp, facts[at].largest_timestamp) = (Some(first), Some(largest));
        }
        Ok(Some(find(&facts, from, limit, &config, now_ms)).filter(|found| found.dirty_bytes > 0))
    }

    /// Timestamp of the first batch and the greatest one.
    async fn timestamps(&self, segment: &Rc<Segment>) -> Result<(i64, i64), LogError> {
        let first = match segment.first_timestamp.get() {
            Some(first) => first,
            None => {
                let first = self.locate(segment, segment.base).await?.map_or(-1, |batch| batch.max_timestamp);
                segment.first_timestamp.set(Some(first));
                first
            }
        };
        let largest = self.largest_timestamp(segment).await?.0;
        Ok((first, if largest >= 0 { largest } else { segment.created_ms }))
    }

    /// Cleans the log up to what `part` says, or as far as the map reaches. Appends and reads go on meanwhile.
    ///
    /// # Errors
    /// The device fails, or the log is damaged. Unless [`LogState::failure`] says so too, the log is as good as it was.
    pub async fn clean(&self, part: &Cleanable, cleaner: &Cleaner) -> Result<CleanReport, LogError> {
        let mut report = CleanReport::default();
        if self.moving.get() {
            return Ok(report);
        }
        let _cleaning = self.begin_cleaning();
        let done = self.clean_part(part, cleaner, &mut report).await;
        if self.closed.get() {
            return Ok(CleanReport { clean_up_to: None, ..report });
        }
        done.map(|clean_up_to| CleanReport { clean_up_to, ..report })
    }

    async fn clean_part(
        &self,
        part: &Cleanable,
        cleaner: &Cleaner,
        report: &mut CleanReport,
    ) -> Result<Option<Offset>, LogError> {
        let cuts = self.cuts.get();
        let producers = self.last_records();
        // What is swapped in is on the device, so what it replaces has to be, and the last batches for whose sake others go.
        let needed =
            if self.io.planted("last batch of a producer not flushed") { part.first_uncleanable } else { self.log_end.get() };
        self.flush(needed).await?;
        let Some(map) = self.build_map(part, cleaner, report).await? else { return Ok(None) };
        let end = map.latest().plus(1);
        report.keys = map.len() as u64;
        let config = self.config();
        let sources: Vec<Source> =
            self.segments.borrow().range(..end).map(|(_, segment)| (segment.clone(), segment.size.get())).collect();
        let sizes = self.sizes(&sources).await?;
        let behind = sources.last().map_or(end, |(last, _)| self.end_of(last));
        let mut transactions = CleanedTransactions::default();
        if let Some((first, _)) = sources.first() {
            transactions.add(self.aborted_transactions(first.base, behind).await?);
        }
        let mut round = Box::new(Round {
            map,
            transactions,
            producers,
            upper: part.first_uncleanable,
            cuts,
            now_ms: self.io.wall_clock_ms(),
            delete_retention_ms: config.delete_retention_ms,
        });
        for range in group(&sizes, behind, &config) {
            let until = sources.get(range.end).map_or(behind, |(next, _)| next.base);
            let sources = &sources[range];
            let Some(next) = self.clean_group(sources, until, &config, round, cleaner, report).await? else { return Ok(None) };
            round = next;
        }
        self.io.discard(round);
        if self.cuts.get() != cuts {
            return Ok(None);
        }
        self.cleaned.set(Some(end));
        Ok(Some(end))
    }

    fn begin_cleaning(&self) -> Cleaning<'_> {
        self.cleaning.set(true);
        Cleaning(self)
    }

    /// Whether to go on.
    fn may_clean(&self, sources: &[Source], cleaner: &Cleaner) -> bool {
        let gone = sources.iter().any(|(segment, _)| segment.removed.get());
        !gone && !cleaner.stopped.get() && !self.closed.get() && !self.moving.get() && self.config().cleanup_policy.compact
    }

    async fn build_map(
        &self,
        part: &Cleanable,
        cleaner: &Cleaner,
        report: &mut CleanReport,
    ) -> Result<Option<OffsetMap>, LogError> {
        let Cleanable { first_dirty: from, first_uncleanable: until, .. } = *part;
        let dirty: Vec<Source> = {
            let sources = self.segments_from(from).into_iter().filter(|segment| segment.base < until);
            sources.map(|segment| (segment.clone(), segment.size.get())).collect()
        };
        let built = self.read_into_map(&dirty, *part, cleaner, report).await;
        // A segment that retention has taken is no failure.
        if built.is_err() && !self.may_clean(&dirty, cleaner) { Ok(None) } else { built }
    }

    async fn read_into_map(
        &self,
        dirty: &[Source],
        part: Cleanable,
        cleaner: &Cleaner,
        report: &mut CleanReport,
    ) -> Result<Option<OffsetMap>, LogError> {
        let Cleanable { first_dirty: from, first_uncleanable: until, .. } = part;
        let limits = cleaner.limits.get();
        let seeds = [u64::from_le_bytes(self.io.random()), u64::from_le_bytes(self.io.random())];
        let wanted = (until.0 - from.0).max(0) as u64;
        let map = OffsetMap::new(wanted, limits.dedupe_bytes, limits.load_factor, seeds);
        let mut transactions = CleanedTransactions::default();
        transactions.add(self.aborted_transactions(from, until).await?);
        let mut indexing = Box::new(Indexing { map, transactions, from });
        for (at, (segment, size)) in dirty.iter().enumerate() {
            let mut chunks = Chunks::open(&self.io, segment, cleaner.chunk_bytes()).await?;
            loop {
                if !self.may_clean(dirty, cleaner) {
                    return Ok(None);
                }
                let Some(chunk) = chunks.next(&self.io, *size).await? else { break };
                let bytes = chunk.len() as u64;
                report.bytes_read += bytes;
                let work = move || {
                    let indexed = indexing.index(&chunk);
                    (indexing, indexed)
                };
                let (back, indexed) = self.io.compute(true, work).await;
                indexing = back;
                if !indexed.map_err(|reason| LogError::corrupt(&segment.path(LOG_SUFFIX), reason))? {
                    return Ok(Some(indexing.map));
                }
                cleaner.throttle.pay(&self.io, bytes).await;
            }
            // Behind the last batch there may be offsets that an earlier round has taken away.
            let end = dirty.get(at + 1).map_or(until, |(next, _)| next.base);
            indexing.map.looked_at(end.plus(-1));
        }
        Ok(Some(indexing.map))
    }

    /// Makes one segment out of `sources`, which end before `until`, and swaps it in. `None` if the round is over.
    async fn clean_group(
        &self,
        sources: &[Source],
        until: Offset,
        config: &LogConfig,
        round: Box<Round>,
        cleaner: &Cleaner,
        report: &mut CleanReport,
    ) -> Result<Option<Box<Round>>, LogError> {
        let base = sources[0].0.base;
        let mut output = Output::create(&self.io, self.dir(), base, config).await?;
        let copied = self.copy(sources, &mut output, round, cleaner, report).await;
        let (mut round, is_whole) = match copied {
            Ok(Some(copied)) => copied,
            other => {
                self.give_up(base).await;
                return if self.may_clean(sources, cleaner) { other.map(|_| None) } else { Ok(None) };
            }
        };
        let aborted = round.transactions.take_with_data();
        if is_whole && sources.len() == 1 {
            // It is what it was.
            output::remove(&self.io, &self.dir(), base).await?;
            return Ok(Some(round));
        }
        let created_ms = sources.last().map_or(0, |(last, _)| last.created_ms);
        let swapped = match output.finish(&self.io, &aborted, created_ms).await {
            Ok(segment) => self.swap(sources, &segment, until, round.cuts).await,
            Err(error) => Err(error),
        };
        if swapped.is_err() {
            self.give_up(base).await;
        }
        Ok(swapped?.then_some(round))
    }

    /// Removes what was written for `base`. What stays would make a start take the swap of a later segment for a half one.
    async fn give_up(&self, base: Offset) {
        if let Err(left) = output::remove(&self.io, &self.dir(), base).await {
            self.fail(&left);
        }
    }

    /// Writes what stays of the sources. `None` if the round is over; else also whether everything stayed.
    async fn copy(
        &self,
        sources: &[Source],
        output: &mut Output,
        mut round: Box<Round>,
        cleaner: &Cleaner,
        report: &mut CleanReport,
    ) -> Result<Option<(Box<Round>, bool)>, LogError> {
        let mut is_whole = true;
        for (segment, size) in sources {
            let mut chunks = Chunks::open(&self.io, segment, cleaner.chunk_bytes()).await?;
            loop {
                if !self.may_clean(sources, cleaner) {
                    return Ok(None);
                }
                let Some(chunk) = chunks.next(&self.io, *size).await? else { break };
                let bytes = chunk.len() as u64;
                let work = move || {
                    let filtered = round.filter(&chunk);
                    (round, filtered)
                };
                let (back, filtered) = self.io.compute(true, work).await;
                round = back;
                let filtered = filtered.map_err(|reason| LogError::corrupt(&segment.path(LOG_SUFFIX), reason))?;
                is_whole &= filtered.is_whole;
                let written = filtered.bytes.len() as u64;
                report.bytes_read += bytes;
                report.bytes_written += written;
                report.records += filtered.records.0;
                report.records_kept += filtered.records.1;
                output.append(&self.io, filtered).await?;
                cleaner.throttle.pay(&self.io, bytes + written).await;
            }
        }
        Ok(Some((round, is_whole)))
    }

    /// The last batch of each producer. What is appended later lies behind what is cleaned.
    fn last_records(&self) -> BTreeMap<ProducerId, LastRecord> {
        let producers = self.producers.borrow();
        let last = |entry: &crate::producer::ProducerEntry| LastRecord {
            data: entry.last_batch().map(|batch| batch.last_offset),
            epoch: entry.epoch(),
        };
        producers.iter().map(|(id, entry)| (id, last(entry))).collect()
    }

    async fn sizes(&self, sources: &[Source]) -> Result<Vec<Size>, LogError> {
        let mut sizes = Vec::with_capacity(sources.len());
        for (segment, bytes) in sources {
            let index_bytes = self.file_bytes(segment, INDEX_SUFFIX).await?;
            let time_index_bytes = self.file_bytes(segment, TIME_INDEX_SUFFIX).await?;
            sizes.push(Size { base: segment.base, bytes: *bytes, index_bytes, time_index_bytes });
        }
        Ok(sizes)
    }

    async fn file_bytes(&self, segment: &Segment, suffix: &str) -> Result<u64, LogError> {
        let path = segment.path(suffix);
        match self.io.open(&path, OpenOptions::READ).await {
            Ok(file) => file.len(&self.io).await.map_err(|e| LogError::storage(&path, "stat", &e)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(LogError::storage(&path, "open", &error)),
        }
    }
}
