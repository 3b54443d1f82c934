//! Which part of a log is to be cleaned, whether it is worth it, and which segments become one.

use super::super::LogConfig;
use crate::model::Offset;
use std::ops::Range;

/// A segment, as far as the choice goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::log) struct SegmentFacts {
    pub(in crate::log) base: Offset,
    pub(in crate::log) bytes: u64,
    /// Timestamp of its first batch, if somebody has to know.
    pub(in crate::log) first_timestamp: Option<i64>,
    /// Greatest timestamp, or that of its making if its records have none; if somebody has to know.
    pub(in crate::log) largest_timestamp: Option<i64>,
}

/// What of a log was cleaned, and what can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cleanable {
    /// Everything below has been cleaned.
    pub first_dirty: Offset,
    /// Where a segment begins that must not be cleaned yet.
    pub first_uncleanable: Offset,
    /// Bytes of the segments that have been cleaned.
    pub clean_bytes: u64,
    /// Bytes of the segments between the two offsets.
    pub dirty_bytes: u64,
    /// Something waits longer than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Cleanable {
    /// How much of what would be cleaned is dirty, from 0 to 1.
    pub fn ratio(&self) -> f64 {
        let all = self.clean_bytes + self.dirty_bytes;
        if all == 0 { 0.0 } else { self.dirty_bytes as f64 / all as f64 }
    }

    /// Whether it is worth to be cleaned, if `min_ratio` is `min.cleanable.dirty.ratio`.
    pub fn is_due(&self, min_ratio: f64) -> bool {
        (self.is_overdue && self.dirty_bytes > 0) || self.ratio() > min_ratio
    }
}

/// Where the dirty part begins. A checkpoint outside of the log is of another log, or of records that were lost: all is dirty then.
pub(in crate::log) fn first_dirty(checkpoint: Option<Offset>, log_start: Offset, log_end: Offset) -> Offset {
    checkpoint.filter(|&offset| (log_start..=log_end).contains(&offset)).unwrap_or(log_start)
}

/// Finds the part to be cleaned. `segments` are all of the log, the active one last; `limit` is the least of high watermark and last
/// stable offset.
pub(in crate::log) fn find(
    segments: &[SegmentFacts],
    first_dirty: Offset,
    limit: Offset,
    config: &LogConfig,
    now_ms: i64,
) -> Cleanable {
    let (active, closed) = segments.split_last().expect("a log has a segment");
    let holding = |offset: Offset| closed.partition_point(|segment| segment.base <= offset).saturating_sub(1);
    let dirty_from = if first_dirty >= active.base { closed.len() } else { holding(first_dirty) };
    let dirty = &closed[dirty_from..];
    let too_young = |segment: &&SegmentFacts| {
        let horizon = now_ms.saturating_sub(config.min_compaction_lag_ms.max(0));
        config.min_compaction_lag_ms > 0 && segment.largest_timestamp.is_some_and(|largest| largest > horizon)
    };
    let young = dirty.iter().find(too_young).map_or(active.base, |segment| segment.base);
    let limit = first_dirty.max(limit.min(active.base).min(young));
    let first_uncleanable = match closed.get(holding(limit)) {
        Some(segment) if limit < active.base => segment.base,
        _ => active.base,
    };
    let clean_bytes = segments.iter().filter(|segment| segment.base < first_dirty).map(|segment| segment.bytes).sum();
    let cleanable = dirty.iter().take_while(|segment| segment.base < first_uncleanable);
    let dirty_bytes = if first_dirty < first_uncleanable { cleanable.map(|segment| segment.bytes).sum() } else { 0 };
    let oldest = dirty.iter().filter_map(|segment| segment.first_timestamp).filter(|&timestamp| timestamp > 0).min();
    let is_overdue = oldest.is_some_and(|oldest| oldest < now_ms.saturating_sub(config.max_compaction_lag_ms.max(0)));
    Cleanable { first_dirty, first_uncleanable, clean_bytes, dirty_bytes, is_overdue }
}

/// A segment that is to be cleaned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::log) struct Size {
    pub(in crate::log) base: Offset,
    pub(in crate::log) bytes: u64,
    pub(in crate::log) index_bytes: u64,
    pub(in crate::log) time_index_bytes: u64,
}

/// Which neighbours become one segment: as many as fit into `segment.bytes` and `segment.index.bytes` as they are, and whose offsets
/// an index can hold. `end` is the offset behind the last of them.
pub(in crate::log) fn group(segments: &[Size], end: Offset, config: &LogConfig) -> Vec<Range<usize>> {
    let (limit, index_limit) = (u64::from(config.segment_bytes), u64::from(config.segment_index_bytes));
    let mut groups = Vec::new();
    let mut at = 0;
    while at < segments.len() {
        let first = segments[at];
        let (mut bytes, mut index, mut times) = (first.bytes, first.index_bytes, first.time_index_bytes);
        let mut until = at + 1;
        while let Some(next) = segments.get(until) {
            bytes += next.bytes;
            index += next.index_bytes;
            times += next.time_index_bytes;
            let behind = segments.get(until + 1).map_or(end, |after| after.base);
            // An empty one adds no offset.
            let too_far = next.bytes > 0 && behind.0 - 1 - first.base.0 > i64::from(i32::MAX);
            if bytes > limit || index > index_limit || times > index_limit || too_far {
                break;
            }
            until += 1;
        }
        groups.push(at..until);
        at = until;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(segments: &[(i64, u64, i64)]) -> Vec<SegmentFacts> {
        let facts = |&(base, bytes, time): &(i64, u64, i64)| SegmentFacts {
            base: Offset(base),
            bytes,
            first_timestamp: Some(time),
            largest_timestamp: Some(time + 9),
        };
        segments.iter().map(facts).collect()
    }

    const LOG: &[(i64, u64, i64)] = &[(0, 100, 1000), (10, 200, 1010), (20, 300, 1020), (30, 50, 1030)];

    fn offsets(found: Cleanable) -> (i64, i64, u64, u64) {
        (found.first_dirty.0, found.first_uncleanable.0, found.clean_bytes, found.dirty_bytes)
    }

    fn at(first_dirty: i64, limit: i64, config: &LogConfig, now_ms: i64) -> Cleanable {
        find(&facts(LOG), Offset(first_dirty), Offset(limit), config, now_ms)
    }

    #[test]
    fn checkpoints_outside_of_the_log_count_for_nothing() {
        let first = |checkpoint: Option<i64>| first_dirty(checkpoint.map(Offset), Offset(5), Offset(40)).0;
        assert_eq!([first(None), first(Some(4)), first(Some(41))], [5, 5, 5]);
        assert_eq!([first(Some(5)), first(Some(17)), first(Some(40))], [5, 17, 40]);
    }

    #[test]
    fn the_active_segment_and_what_is_not_stable_are_left() {
        let config = LogConfig::default();
        assert_eq!(offsets(at(0, 35, &config, 0)), (0, 30, 0, 600));
        assert_eq!(offsets(at(0, 30, &config, 0)), (0, 30, 0, 600));
        assert_eq!(offsets(at(0, 29, &config, 0)), (0, 20, 0, 300), "rounded down to a segment");
        assert_eq!(offsets(at(0, 5, &config, 0)), (0, 0, 0, 0));
        assert_eq!(offsets(at(20, 35, &config, 0)), (20, 30, 300, 300));
        assert_eq!(offsets(at(30, 35, &config, 0)), (30, 30, 600, 0));
        assert_eq!(offsets(at(33, 35, &config, 0)), (33, 30, 650, 0), "behind the active segment's base");
        assert_eq!(offsets(at(25, 35, &config, 0)), (25, 30, 600, 300), "a segment that is half clean counts twice, as in Kafka");
        assert_eq!(offsets(find(&facts(&LOG[..1]), Offset(0), Offset(9), &config, 0)), (0, 0, 0, 0), "only an active one");
    }

    #[test]
    fn young_segments_wait_and_old_ones_do_not() {
        let young = LogConfig { min_compaction_lag_ms: 100, ..LogConfig::default() };
        assert_eq!(at(0, 35, &young, 1118).first_uncleanable, Offset(10), "1019 is not older than 100");
        assert_eq!(at(0, 35, &young, 1119).first_uncleanable, Offset(20));
        assert_eq!(at(0, 35, &young, 1200).first_uncleanable, Offset(30));
        let old = LogConfig { max_compaction_lag_ms: 50, ..LogConfig::default() };
        assert!(!at(0, 35, &old, 1050).is_overdue && at(0, 35, &old, 1051).is_overdue);
        assert!(!at(10, 35, &old, 1060).is_overdue && at(10, 35, &old, 1061).is_overdue);
        assert!(!at(30, 35, &old, 9999).is_overdue, "the active segment does not count");
        let never = Cleanable { clean_bytes: 1000, dirty_bytes: 1, ..at(0, 35, &old, 1051) };
        assert!(never.is_due(0.5) && !Cleanable { is_overdue: false, ..never }.is_due(0.5));
        assert!(!Cleanable { dirty_bytes: 0, ..never }.is_due(0.0));
    }

    #[test]
    fn the_ratio_has_to_be_exceeded() {
        let half = Cleanable { clean_bytes: 50, dirty_bytes: 50, ..at(0, 0, &LogConfig::default(), 0) };
        assert!(!half.is_due(0.5) && half.is_due(0.49));
    }

    #[test]
    fn neighbours_that_fit_become_one() {
        let sizes = |sizes: &[(i64, u64, u64)]| -> Vec<Size> {
            let size = |&(base, bytes, index): &(i64, u64, u64)| Size {
                base: Offset(base),
                bytes,
                index_bytes: index,
                time_index_bytes: index,
            };
            sizes.iter().map(size).collect()
        };
        let config = LogConfig { segment_bytes: 100, segment_index_bytes: 16, ..LogConfig::default() };
        let groups = |list: &[(i64, u64, u64)], end: i64| group(&sizes(list), Offset(end), &config);
        assert_eq!(groups(&[(0, 60, 8), (5, 40, 8), (9, 1, 0)], 20), [0..2, 2..3]);
        assert_eq!(groups(&[(0, 10, 8), (5, 10, 8), (9, 10, 8)], 20), [0..2, 2..3], "the index is full");
        let far = i64::from(i32::MAX);
        assert_eq!(groups(&[(0, 1, 0), (5, 1, 0)], far + 1), [0..2]);
        assert_eq!(groups(&[(0, 1, 0), (5, 1, 0)], far + 2), [0..1, 1..2], "offsets are too far from each other");
        assert_eq!(groups(&[(0, 1, 0), (5, 1, 0), (far + 5, 1, 0)], far + 6), [0..1, 1..3], "all of a segment must fit");
        assert_eq!(groups(&[(0, 1, 0), (5, 0, 0)], far + 9), [0..2], "an empty one is never too far");
        assert_eq!(groups(&[(0, 900, 90)], 20), [0..1], "one always");
        assert!(groups(&[], 0).is_empty());
    }
}
