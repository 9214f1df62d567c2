//! The promise to follow a decree, on disk: a node that forgot it could vote for the old committee's blocks again.

use crate::common::error::StartError;
use commonware_codec::{Copying, DecodeExt as _, Encode as _, RangeCfg};
use commonware_storage::{Context, metadata};
use commonware_utils::sequence::U64;
use voltmesh_ledger::{Decree, MAX_REPLACEMENT_BYTES};

const KEY: u64 = 0;

type Store<E> = metadata::Metadata<E, U64, Vec<u8>>;

/// Record on disk of the order that this node has promised to follow.
pub(crate) struct ReplacementVote<E: Context>(Option<Store<E>>);

impl<E: Context> ReplacementVote<E> {
    /// Opens the store; returns what it holds, besides.
    pub async fn open(context: E, prefix: &str) -> Result<(Self, Option<Decree>), StartError> {
        let config = metadata::Config {
            partition: format!("{prefix}-promise"),
            codec_config: (RangeCfg::from(0..=MAX_REPLACEMENT_BYTES), ()),
        };
        let store: Store<E> = metadata::Metadata::init(context, config)
            .await
            .map_err(|source| StartError::Promise { why: source.to_string() })?;
        let decree = store.get(&U64::new(KEY)).map(|bytes| Decree::decode(Copying(bytes))).transpose();
        let decree = decree.map_err(|error| StartError::Promise { why: error.to_string() })?;
        Ok((Self(Some(store)), decree))
    }

    /// Keeps a promise in the place of an earlier one.
    ///
    /// # Panics
    ///
    /// If the disk cannot be written, as all of the node's tasks do.
    pub async fn keep(&mut self, decree: &Decree) {
        let Some(store) = self.0.take() else { unreachable!("it is put back below") };
        match store.put_sync(U64::new(KEY), decree.encode().to_vec()).await {
            Ok(store) => self.0 = Some(store),
            Err(error) => panic!("a promise cannot be kept: {error}"),
        }
    }
}
