//! Journals of the spool: the files of one span.

use super::{Journal, Spool};
use crate::Error;
use crate::view::is_storage;
use commonware_codec::RangeCfg;
use commonware_runtime::Error as RuntimeError;
use commonware_storage::Context;
use commonware_storage::journal::contiguous::variable;

impl<E: Context> Spool<E> {
    pub(super) async fn open_journal(&self, id: u32, at_most: Option<u64>) -> Result<Journal<E>, Error> {
        let config = variable::Config {
            partition: format!("{}_{id}", self.config.name),
            items_per_section: self.config.entries_per_file,
            compression: None,
            codec_config: RangeCfg::new(0..=self.config.max_entry),
            page_cache: self.cache.clone(),
            write_buffer: self.config.write_buffer,
            replay_buffer: crate::config::REPLAY_BUFFER,
        };
        let context =
            self.context.child("journal").with_attribute("spool", format!("{}_{id}", self.config.name));
        let opened = match at_most {
            Some(size) => Journal::init_at_most(context, config, size).await,
            None => Journal::init(context, config).await,
        };
        opened.map_err(|e| {
            if is_storage(&e) { self.failed("opening", e) } else { self.corrupt(self.durable, e.to_string()) }
        })
    }

    pub(super) async fn remove_journal(&self, id: u32) -> Result<(), Error> {
        for suffix in ["data", "offsets-blobs", "offsets-metadata"] {
            let partition = format!("{}_{id}_{suffix}", self.config.name);
            match self.context.remove(&partition, None).await {
                Ok(()) | Err(RuntimeError::PartitionMissing(_)) => {}
                Err(e) => return Err(self.failed("removing an acknowledged file", e)),
            }
        }
        Ok(())
    }
}
