//! What is durable and verified, handed on for those who look into it: as the bytes that came, decoded elsewhere.

use bytes::Bytes;

/// Records that are durable and verified, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// When the publish arrived, by the shell's own clock as in [`super::Claim`]; of several the first.
    pub arrived_us: u64,
    /// The records.
    pub content: FeedContent,
}

/// Records as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedContent {
    /// A vehicle's batch as it travels: its signature and root are checked.
    Batch(Bytes),
    /// Samples of foreign clients, as [`super::Block`] writes them.
    Samples(Bytes),
}

impl Feed {
    /// Bytes of the records.
    pub fn size(&self) -> usize {
        match &self.content {
            FeedContent::Batch(bytes) | FeedContent::Samples(bytes) => bytes.len(),
        }
    }
}
