//! The small durable state beside the journals: which files there are, and what is acknowledged.

use crate::acks::{Acks, take_u32, take_u64};
use commonware_codec::RangeCfg;
use commonware_runtime::Error as RuntimeError;
use commonware_storage::{Context, metadata};
use commonware_utils::sequence::U64;

/// A journal and the positions it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Names the journal's partitions.
    pub id: u32,
    /// Position of the journal's first entry.
    pub base: u64,
    /// One past the last entry that may be trusted; `None` for the journal that is written to.
    pub end: Option<u64>,
}

/// All that is kept beside the journals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Oldest first; only the last one is open.
    pub spans: Vec<Span>,
    /// Identifier that no journal has had yet.
    pub next_id: u32,
    /// What is acknowledged.
    pub acks: Acks,
}

const FORMAT: u8 = 1;
/// A store whose sync failed is not trusted again; the next one in the ring takes over. The highest sequence wins.
const SLOTS: u8 = 4;
/// 65,536 ranges of 16 bytes, 1,000 spans of 21 bytes, and the head.
const MAX_BYTES: usize = 1_100_000;
/// Journals at most, counting those closed after a failed sync and not yet acknowledged.
pub(crate) const MAX_SPANS: usize = 1000;
const KEY: u64 = 0;

impl Contents {
    fn encode(&self, sequence: u64) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&self.next_id.to_be_bytes());
        out.extend_from_slice(&(self.spans.len() as u32).to_be_bytes());
        for span in &self.spans {
            out.extend_from_slice(&span.id.to_be_bytes());
            out.extend_from_slice(&span.base.to_be_bytes());
            out.extend_from_slice(&span.end.unwrap_or(u64::MAX).to_be_bytes());
        }
        self.acks.encode(&mut out);
        out
    }

    fn decode(input: &mut &[u8]) -> Option<(u64, Self)> {
        let (format, rest) = input.split_first()?;
        *input = rest;
        if *format != FORMAT {
            return None;
        }
        let sequence = take_u64(input)?;
        let next_id = take_u32(input)?;
        let count = take_u32(input)? as usize;
        if count > MAX_SPANS {
            return None;
        }
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            let (id, base, end) = (take_u32(input)?, take_u64(input)?, take_u64(input)?);
            spans.push(Span { id, base, end: (end != u64::MAX).then_some(end) });
        }
        let acks = Acks::decode(input)?;
        input.is_empty().then_some((sequence, Self { spans, next_id, acks }))
    }
}

type Store<E> = metadata::Metadata<E, U64, Vec<u8>>;

/// Keeps [`Contents`] durable.
pub(crate) struct State<E: Context> {
    context: E,
    name: String,
    sequence: u64,
    slot: u8,
    store: Option<Store<E>>,
}

impl<E: Context> State<E> {
    /// Opens the newest store. `None` for a spool that never was.
    pub async fn open(context: E, name: &str) -> Result<(Self, Option<Contents>), String> {
        let mut state = Self { context, name: name.to_owned(), sequence: 0, slot: 0, store: None };
        let mut newest = None;
        for slot in 0..SLOTS {
            match state.context.scan(&state.partition(slot)).await {
                Ok(blobs) if !blobs.is_empty() => {}
                Ok(_) | Err(RuntimeError::PartitionMissing(_)) => continue,
                Err(e) => return Err(e.to_string()),
            }
            let store = state.init(slot).await?;
            let Some(bytes) = store.get(&U64::new(KEY)) else { continue };
            let (sequence, contents) =
                Contents::decode(&mut bytes.as_slice()).ok_or("the state has an unknown format")?;
            if sequence > state.sequence {
                (state.sequence, state.slot, state.store) = (sequence, slot, Some(store));
                newest = Some(contents);
            }
        }
        Ok((state, newest))
    }

    /// Makes the contents durable, in a fresh store if the present one fails.
    pub async fn save(&mut self, contents: &Contents) -> Result<(), String> {
        if let Some(store) = self.store.take() {
            match self.write(store, contents).await {
                Ok(()) => return Ok(()),
                Err(cause) => {
                    tracing::warn!(spool = self.name, cause, "state not written, trying a new file")
                }
            }
            self.slot = (self.slot + 1) % SLOTS;
        }
        let partition = self.partition(self.slot);
        match self.context.remove(&partition, None).await {
            Ok(()) | Err(RuntimeError::PartitionMissing(_)) => {}
            Err(e) => return Err(e.to_string()),
        }
        let store = self.init(self.slot).await?;
        self.write(store, contents).await
    }

    async fn write(&mut self, mut store: Store<E>, contents: &Contents) -> Result<(), String> {
        self.sequence += 1;
        store.put(U64::new(KEY), contents.encode(self.sequence));
        self.store = Some(store.sync().await.map_err(|e| e.to_string())?);
        Ok(())
    }

    async fn init(&self, slot: u8) -> Result<Store<E>, String> {
        let config = metadata::Config {
            partition: self.partition(slot),
            codec_config: (RangeCfg::new(0..=MAX_BYTES), ()),
        };
        Store::init(self.context.child("state"), config).await.map_err(|e| e.to_string())
    }

    fn partition(&self, slot: u8) -> String {
        format!("{}_state{slot}", self.name)
    }
}
