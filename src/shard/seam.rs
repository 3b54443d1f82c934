//! The metadata log, in memory until `quorum` is there.

use crate::config::{BrokerConfig, validate_topic_configs};
use crate::controller::{ApplyError, Command, Context, Loader, MetadataDelta, MetadataImage, Reply, bootstrap_records, decide};
use crate::io::Io;
use crate::model::BrokerId;
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub(super) enum QuorumError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("{bytes} bytes are too large")]
    #[allow(dead_code)]
    TooLarge { bytes: usize },
}

pub(super) struct OpenQuorum(i32, i32);

impl OpenQuorum {
    pub(super) fn new(config: &BrokerConfig, _: bool) -> Self {
        Self(config.num_partitions(), config.default_replication_factor())
    }
}

pub(super) struct Executed {
    pub(super) reply: Reply,
    pub(super) image: Arc<MetadataImage>,
    pub(super) delta: MetadataDelta,
}

/// Commits metadata records.
pub(super) struct Quorum {
    io: Io,
    loader: Loader,
    image: Arc<MetadataImage>,
    how: OpenQuorum,
}

impl Quorum {
    pub(super) async fn open(io: Io, how: OpenQuorum) -> Result<Self, QuorumError> {
        let mut loader = Loader::default();
        loader.load(&bootstrap_records(), crate::model::Offset(1), 1)?;
        let image = Arc::new(loader.image().clone());
        Ok(Self { io, loader, image, how })
    }

    pub(super) fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    pub(super) async fn execute(&mut self, command: &Command) -> Result<Executed, QuorumError> {
        let io = self.io.clone();
        let mut context = Context {
            num_partitions: self.how.0,
            default_replication_factor: self.how.1,
            judge_configs: &|configs| validate_topic_configs(configs.iter().copied()),
            random: &mut || io.random(),
        };
        let decision = decide(&self.image, command, &mut context);
        let mut delta = MetadataDelta::default();
        for batch in decision.batches {
            let next = self.loader.image().next_offset().plus(batch.len() as i64);
            delta.merge(self.loader.load(&batch, next, 1)?);
        }
        self.image = Arc::new(self.loader.image().clone());
        Ok(Executed { reply: decision.reply, image: self.image.clone(), delta })
    }

    pub(super) async fn close(&mut self) -> Result<(), QuorumError> {
        Ok(())
    }
}

pub(super) fn is_clean_restart(image: &MetadataImage, broker: BrokerId, marker: Option<i64>) -> bool {
    image.broker(broker).is_some_and(|registered| marker == Some(registered.epoch))
}
