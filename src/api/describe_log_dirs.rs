//! DescribeLogDirs (35), versions 1 to 4: what lies in each log dir, and how much room there is.

use super::Call;
use super::context::text;
use crate::controller::MetadataImage;
use crate::io::DiskSpace;
use crate::model::ErrorCode;
use crate::protocol::generated::describe_log_dirs_request::{DescribableLogDirTopic, DescribeLogDirsRequest};
use crate::protocol::generated::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::shard::{LogDirState, LogSize};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Logs that are told in one go.
const MANY: usize = 1000;

pub(super) async fn handle(call: Rc<Call>, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let context = &call.context;
    let sizes = context.shards.log_sizes().await;
    let mut dirs = Vec::new();
    for dir in context.shards.log_dirs() {
        let space = match dir.is_offline {
            true => None,
            false => context.io.disk_space(&dir.path).await.ok(),
        };
        dirs.push((dir, space));
    }
    let image = context.shards.image();
    call.compute(sizes.len() > MANY, move || answer(&image, dirs, &sizes, request.topics.as_deref())).await
}

/// What clients call a log dir: its absolute path.
pub(super) fn name_of(dir: &LogDirState) -> String {
    std::path::absolute(&dir.path).as_ref().unwrap_or(&dir.path).to_string_lossy().into_owned()
}

fn answer(
    image: &MetadataImage,
    dirs: Vec<(LogDirState, Option<DiskSpace>)>,
    sizes: &[LogSize],
    wanted: Option<&[DescribableLogDirTopic]>,
) -> DescribeLogDirsResponse {
    // No list asks for all; what is not here is left out.
    let named = |topic: &'_ DescribableLogDirTopic| {
        topic.partitions.iter().map(|index| (topic.topic.to_string(), *index)).collect::<Vec<_>>()
    };
    let wanted: Option<BTreeSet<(String, i32)>> = wanted.map(|topics| topics.iter().flat_map(named).collect());
    let mut by_dir: BTreeMap<usize, BTreeMap<&str, Vec<DescribeLogDirsPartition>>> = BTreeMap::new();
    for size in sizes {
        let Some(topic) = image.topic_by_id(size.id.topic_id) else { continue };
        let index = size.id.partition.0;
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&(topic.name.to_string(), index))) {
            continue;
        }
        let partition = DescribeLogDirsPartition {
            partition_index: index,
            partition_size: i64::try_from(size.bytes).unwrap_or(i64::MAX),
            offset_lag: size.offset_lag,
            is_future_key: size.is_future,
        };
        by_dir.entry(size.log_dir).or_default().entry(&topic.name).or_default().push(partition);
    }
    let result = |(at, (dir, space)): (usize, (LogDirState, Option<DiskSpace>))| {
        let log_dir = text(&name_of(&dir));
        let Some(space) = space else {
            return DescribeLogDirsResult { error_code: ErrorCode::KafkaStorageError.code(), log_dir, ..Default::default() };
        };
        let topics = by_dir.remove(&at).unwrap_or_default().into_iter();
        DescribeLogDirsResult {
            error_code: ErrorCode::None.code(),
            log_dir,
            topics: topics.map(|(name, partitions)| DescribeLogDirsTopic { name: text(name), partitions }).collect(),
            total_bytes: i64::try_from(space.total).unwrap_or(i64::MAX),
            usable_bytes: i64::try_from(space.usable).unwrap_or(i64::MAX),
        }
    };
    DescribeLogDirsResponse { results: dirs.into_iter().enumerate().map(result).collect(), ..Default::default() }
}
