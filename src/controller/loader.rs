//! Reading the metadata log: batches in, images out, with metadata transactions (KIP-868) published as a whole.

use super::apply::{ApplyError, MetadataDelta};
use super::image::MetadataImage;
use crate::model::Offset;
use crate::protocol::MetadataRecord;
use std::sync::Arc;

/// Follows the committed metadata log. What is published is never inside a transaction: its records are applied aside until the
/// transaction ends, and dropped if it is aborted.
#[derive(Clone, Debug, Default)]
pub struct Loader {
    published: Arc<MetadataImage>,
    open: Option<(MetadataImage, MetadataDelta)>,
}

impl Loader {
    /// Goes on from an image.
    pub fn new(image: MetadataImage) -> Self {
        Self { published: Arc::new(image), open: None }
    }

    /// The image to serve: whoever serves it holds this very one.
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.published
    }

    /// Whether a transaction is open. A controller that begins to lead must abort it.
    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Takes one committed batch, which ends before `next_offset` and was written in `epoch`. Returns what has changed in the
    /// published image: nothing while a transaction is open.
    ///
    /// # Errors
    /// A record that does not fit, or a transaction marker out of place. Nothing of the batch is published then.
    pub fn load(&mut self, records: &[MetadataRecord], next_offset: Offset, epoch: i32) -> Result<MetadataDelta, ApplyError> {
        let (mut image, mut delta, mut open) = match &self.open {
            Some((image, delta)) => (image.clone(), delta.clone(), true),
            None => (self.base(), MetadataDelta::default(), false),
        };
        // What was published when the batch has been read; a transaction that begins in it holds back what follows.
        let mut published = (!open).then(|| (image.clone(), MetadataDelta::default()));
        for record in records {
            match record {
                MetadataRecord::BeginTransaction(_) if open => return stray("begins inside another"),
                MetadataRecord::BeginTransaction(_) => {
                    published = Some((image.clone(), delta.clone()));
                    open = true;
                }
                MetadataRecord::EndTransaction(_) | MetadataRecord::AbortTransaction(_) if !open => {
                    return stray("ends unopened");
                }
                MetadataRecord::EndTransaction(_) => open = false,
                MetadataRecord::AbortTransaction(_) => {
                    (image, delta) = published.take().unwrap_or_else(|| (self.base(), MetadataDelta::default()));
                    open = false;
                }
                other => image.apply(other, &mut delta)?,
            }
        }
        if open {
            self.open = Some((image, delta));
            let (mut image, delta) = published.unwrap_or_else(|| (self.base(), MetadataDelta::default()));
            image.advance_to(next_offset, epoch);
            self.published = Arc::new(image);
            return Ok(delta);
        }
        self.open = None;
        image.advance_to(next_offset, epoch);
        self.published = Arc::new(image);
        Ok(delta)
    }

    /// What the next batch is applied to. It shares everything with what is published; what a record changes is copied then, once a batch.
    fn base(&self) -> MetadataImage {
        (*self.published).clone()
    }
}

fn stray<T>(what: &str) -> Result<T, ApplyError> {
    Err(ApplyError(format!("a metadata transaction {what}")))
}
