//! What a leader says of one partition, in the terms of `replica`: pure.
//!
//! Nothing that comes is believed: checksums are computed, offsets have to grow, and batches of a leader epoch that is not known here yet
//! are left for later.

use crate::log::AppendBatch;
use crate::model::{ErrorCode, LeaderEpoch, Offset};
use crate::protocol::generated::fetch_response::PartitionData;
use crate::record::{BatchHeader, Batches};
use crate::replica::{BatchSpan, Divergence, EpochEndOffset, FetchAnswer, FetchedRecords, accept_batches};
use bytes::Bytes;

/// What `data` says to a follower that asked in `leader_epoch`, and the batches that may be appended. `divergence` adds what our own log
/// knows of an epoch.
pub(super) fn judge(
    leader_epoch: LeaderEpoch,
    data: &PartitionData,
    divergence: impl FnOnce(EpochEndOffset) -> Divergence,
) -> (FetchAnswer, Vec<AppendBatch>) {
    let error = ErrorCode::from_code(data.error_code).unwrap_or(ErrorCode::UnknownServerError);
    if error.is_error() {
        return (FetchAnswer::failed(error), Vec::new());
    }
    let (high_watermark, log_start) = (Offset(data.high_watermark), Offset(data.log_start_offset));
    let answer = FetchAnswer { error, high_watermark, log_start, divergence: None, records: None };
    if data.diverging_epoch.epoch >= 0 || data.diverging_epoch.end_offset >= 0 {
        let leader = EpochEndOffset {
            epoch: LeaderEpoch(data.diverging_epoch.epoch),
            end_offset: Offset(data.diverging_epoch.end_offset),
        };
        return (FetchAnswer { divergence: Some(divergence(leader)), ..answer }, Vec::new());
    }
    match data.records.bytes().map(|records| whole_batches(leader_epoch, records)) {
        None => (answer, Vec::new()),
        Some(Ok((records, batches))) => (FetchAnswer { records, ..answer }, batches),
        Some(Err(error)) => (FetchAnswer::failed(error), Vec::new()),
    }
}

/// The whole batches of what was fetched, as far as they may be appended. The last one may be cut short, and is left away.
fn whole_batches(leader_epoch: LeaderEpoch, records: &Bytes) -> Result<(Option<FetchedRecords>, Vec<AppendBatch>), ErrorCode> {
    let (mut spans, mut batches) = (Vec::new(), Vec::new());
    for batch in Batches::new(records) {
        let batch = batch.map_err(|_| ErrorCode::CorruptMessage)?;
        if !batch.crc_is_valid() || !has_offsets(&batch.header) {
            return Err(ErrorCode::CorruptMessage);
        }
        let header = &batch.header;
        let (base, epoch) = (header.base_offset, header.partition_leader_epoch);
        spans.push(BatchSpan { base, last: header.last_offset(), leader_epoch: epoch });
        let bytes = records.slice(batch.position..batch.position + batch.bytes.len());
        batches.push(AppendBatch::new(bytes, header, base, epoch));
    }
    let accepted = accept_batches(leader_epoch, spans)?;
    batches.truncate(accepted.map_or(0, |accepted| accepted.batches));
    Ok((accepted, batches))
}

/// Offsets are not under the checksum.
fn has_offsets(header: &BatchHeader) -> bool {
    header.base_offset.0.checked_add(i64::from(header.last_offset_delta)).is_some_and(|last| last < i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Records;
    use crate::protocol::generated::fetch_response;
    use crate::record::{BatchBuilder, Compression};

    fn batch(base: i64, epoch: i32, records: usize) -> Vec<u8> {
        let builder = BatchBuilder::new(Compression::NONE).base_offset(Offset(base)).leader_epoch(LeaderEpoch(epoch));
        let mut builder = builder;
        for n in 0..records {
            builder.append(n as i64, None, Some(b"value"));
        }
        builder.build().to_vec()
    }

    fn data(records: Vec<u8>) -> PartitionData {
        let records = Records::Bytes(records.into());
        PartitionData { high_watermark: 9, log_start_offset: 2, records, ..PartitionData::default() }
    }

    fn judged(epoch: i32, data: &PartitionData) -> (FetchAnswer, Vec<i64>) {
        let own = EpochEndOffset { epoch: LeaderEpoch(1), end_offset: Offset(7) };
        let (answer, batches) = judge(LeaderEpoch(epoch), data, |leader| Divergence { leader, own });
        (answer, batches.iter().map(|batch| batch.base_offset.0).collect())
    }

    fn plain() -> FetchAnswer {
        FetchAnswer { high_watermark: Offset(9), log_start: Offset(2), ..FetchAnswer::failed(ErrorCode::None) }
    }

    #[test]
    fn whole_batches_of_known_epochs_are_taken_holes_and_all() {
        let all = [batch(10, 3, 2), batch(15, 4, 1), batch(16, 6, 1), batch(17, 6, 1)].concat();
        let records = Some(FetchedRecords { batches: 2, first: Offset(10), end: Offset(16) });
        assert_eq!(judged(5, &data(all.clone())), (FetchAnswer { records, ..plain() }, vec![10, 15]), "epoch 6 is not known yet");
        let cut = all[..all.len() - 3].to_vec();
        let records = Some(FetchedRecords { batches: 3, first: Offset(10), end: Offset(17) });
        assert_eq!(judged(6, &data(cut)), (FetchAnswer { records, ..plain() }, vec![10, 15, 16]));
        assert_eq!(judged(6, &data(Vec::new())), (plain(), vec![]));
        assert_eq!(judged(6, &PartitionData { records: Records::Null, ..data(Vec::new()) }), (plain(), vec![]));
    }

    #[test]
    fn batches_are_as_they_came() {
        let bytes = batch(10, 3, 2);
        let (_, batches) = judge(LeaderEpoch(3), &data(bytes.clone()), |_| panic!("they do not part"));
        let [batch] = &batches[..] else { panic!("{batches:?}") };
        assert_eq!((&*batch.bytes, batch.last_offset, batch.leader_epoch), (&bytes[..], Offset(11), LeaderEpoch(3)));
    }

    #[test]
    fn what_is_damaged_is_refused_as_a_whole() {
        let good = batch(10, 3, 2);
        let mut flipped = batch(12, 3, 1);
        *flipped.last_mut().unwrap() ^= 1;
        let backwards = batch(11, 3, 1);
        let mut no_format = batch(12, 3, 1);
        no_format[16] = 7;
        let endless = batch(i64::MAX - 1, 3, 2);
        for bad in [flipped, backwards, no_format, endless] {
            let refused = judged(3, &data([good.clone(), bad].concat()));
            assert_eq!(refused, (FetchAnswer::failed(ErrorCode::CorruptMessage), vec![]));
        }
    }

    #[test]
    fn errors_and_where_logs_part_come_without_records() {
        let failed = PartitionData { error_code: ErrorCode::FencedLeaderEpoch.code(), ..data(batch(10, 3, 1)) };
        assert_eq!(judged(3, &failed), (FetchAnswer::failed(ErrorCode::FencedLeaderEpoch), vec![]));
        let unknown = PartitionData { error_code: 9_999, ..data(Vec::new()) };
        assert_eq!(judged(3, &unknown).0.error, ErrorCode::UnknownServerError);
        let diverging_epoch = fetch_response::EpochEndOffset { epoch: 2, end_offset: 8 };
        let divergence = Divergence {
            leader: EpochEndOffset { epoch: LeaderEpoch(2), end_offset: Offset(8) },
            own: EpochEndOffset { epoch: LeaderEpoch(1), end_offset: Offset(7) },
        };
        let parts = judged(3, &PartitionData { diverging_epoch, ..data(batch(10, 3, 1)) });
        assert_eq!(parts, (FetchAnswer { divergence: Some(divergence), ..plain() }, vec![]));
    }
}
