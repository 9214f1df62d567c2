//! `/chain/leaves?from=N`: leaf hashes of the log from index N on, as far as one page goes, in the form of [`Leaves`].
//!
//! Whoever takes them compares their root with one that authorities signed; nothing here is to be believed.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use voltmesh_ledger::{Block, Height, Leaves};

use super::{
    chain,
    shared::{Asked, Shared, refuse},
};

/// Leaves in one page: 512 KiB. Each comes from a block of its own at worst, some 100 µs, so 1.6 s.
const PAGE: usize = 16_384;

/// Where to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// Index of the first leaf.
    from: u64,
}

pub async fn leaves(State(shared): Asked, from: Result<Query<From>, QueryRejection>) -> Response {
    let from = match from {
        Ok(Query(From { from })) => from,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.body_text()),
    };
    // Many blocks are read: one question at a time.
    let _one = shared.replay.lock().await;
    let (oldest, newest) = (shared.ledger.oldest(), shared.ledger.height());
    match page(from, oldest, newest, PAGE, shared.as_ref()).await {
        Ok(leaves) => ([(CONTENT_TYPE, "application/octet-stream")], leaves.encode()).into_response(),
        Err(Unanswered::Beyond { size }) => {
            let why = format!("the log has {size} leaves, so {from} is no index to begin from");
            refuse(StatusCode::BAD_REQUEST, why)
        }
        Err(Unanswered::Pruned { from: first, oldest }) => {
            let why = format!(
                "leaf {from} is in a block that is not here any more: from block {oldest} on this node can answer, which is \
                 from leaf {first} on; ask a node that keeps more (ledger.history_blocks)"
            );
            refuse(StatusCode::NOT_FOUND, why)
        }
        Err(Unanswered::Unreadable { height }) => {
            let why = format!("block {height} cannot be read now: ask again");
            refuse(StatusCode::SERVICE_UNAVAILABLE, why)
        }
    }
}

/// Where final blocks are read: a node's disk, and a test's chain.
trait Blocks: Sync {
    /// The final block at a height, block 0 included; `None` if it is not here.
    fn at(&self, height: Height) -> impl Future<Output = Option<Arc<Block>>> + Send;

    /// [`Self::at`] of a block that should be here.
    fn read(&self, height: u64) -> impl Future<Output = Result<Arc<Block>, Unanswered>> + Send {
        let height = Height::new(height);
        async move { self.at(height).await.ok_or(Unanswered::Unreadable { height }) }
    }
}

impl Blocks for Shared {
    async fn at(&self, height: Height) -> Option<Arc<Block>> {
        chain::at(self, height).await
    }
}

/// Why there is no page.
#[derive(Debug, PartialEq, Eq)]
enum Unanswered {
    /// The log is not that long.
    Beyond { size: u64 },
    /// The first index that is still here, and its block.
    Pruned { from: u64, oldest: Height },
    /// A block went while it was wanted.
    Unreadable { height: Height },
}

/// At most `count` leaves from index `from` on, from blocks `oldest` to `newest`.
async fn page(
    from: u64,
    oldest: Height,
    newest: Height,
    count: usize,
    blocks: &impl Blocks,
) -> Result<Leaves, Unanswered> {
    let size = blocks.read(newest.get()).await?.header().log_size;
    if from > size {
        return Err(Unanswered::Beyond { size });
    }
    let mut leaves = Leaves { first: from, hashes: Vec::new() };
    let first = before(blocks.read(oldest.get()).await?.as_ref());
    if from < first {
        return Err(Unanswered::Pruned { from: first, oldest });
    }
    // The block at `low` is the first that may hold the next leaf.
    let mut low = oldest.get();
    while leaves.hashes.len() < count && leaves.end() < size {
        // Mostly it is one of the next blocks; the log may also have stood still for a million of them.
        let (mut high, mut step) = (low, 1);
        while high < newest.get() && blocks.read(high).await?.header().log_size <= leaves.end() {
            low = high + 1;
            high = high.saturating_add(step).min(newest.get());
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match blocks.read(middle).await?.header().log_size <= leaves.end() {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let block = blocks.read(low).await?;
        let skipped = usize::try_from(leaves.end() - before(&block)).unwrap_or(usize::MAX);
        let all = Leaves::of(&block, 0).hashes;
        leaves.hashes.extend(all.into_iter().skip(skipped));
        low += 1;
    }
    leaves.hashes.truncate(count);
    Ok(leaves)
}

/// Leaves in the log before a block.
fn before(block: &Block) -> u64 {
    block.header().log_size.saturating_sub(block.anchored().count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_ledger::{BatchId, testing::Chain};
    use voltmesh_telemetry::merkle::leaf_hash;

    /// Blocks 1 to 60, of which some hold 0, 1, 2 or 5 batches; and all leaves.
    fn chain() -> (Chain, Vec<voltmesh_telemetry::Digest>) {
        let (mut chain, mut all) = (Chain::new(4), Vec::new());
        for n in 0..60u8 {
            let batches = match n {
                3 | 40 => 5,
                4 | 5 | 59 => 1,
                20 => 2,
                _ => 0,
            };
            let batches: Vec<_> = (0..batches).map(|m| BatchId::from([4 * n + m; 32])).collect();
            all.extend(batches.iter().map(|batch| leaf_hash(batch.as_bytes())));
            if batches.is_empty() {
                chain.push(Vec::new())
            } else {
                chain.anchor(&batches)
            };
        }
        (chain, all)
    }

    /// Blocks from a height on.
    struct Pruned<'a>(&'a Chain, u64);

    impl Blocks for Pruned<'_> {
        async fn at(&self, height: Height) -> Option<Arc<Block>> {
            assert!(height.get() >= self.1, "{height} is not here");
            match usize::try_from(height.get()).ok()?.checked_sub(1) {
                Some(at) => self.0.blocks.get(at).map(|block| Arc::new(block.block.clone())),
                None => Some(Arc::new(self.0.network.genesis().block())),
            }
        }
    }

    async fn ask(chain: &Chain, from: u64, oldest: u64, count: usize) -> Result<Leaves, Unanswered> {
        page(from, Height::new(oldest), chain.state.height(), count, &Pruned(chain, oldest)).await
    }

    #[tokio::test]
    async fn pages_from_any_index_are_pieces_of_the_log() {
        let (chain, all) = chain();
        assert_eq!(all.len(), 15);
        for from in 0..=all.len() {
            for count in 1..=all.len() + 1 {
                let page = ask(&chain, from as u64, 0, count).await.expect("it is there");
                assert_eq!(page.first, from as u64);
                assert_eq!(page.hashes, all[from..(from + count).min(all.len())], "{count} from {from}");
            }
        }
        assert_eq!(ask(&chain, 16, 0, 9).await, Err(Unanswered::Beyond { size: 15 }));
    }

    #[tokio::test]
    async fn a_node_that_pruned_says_from_where_it_can_answer() {
        let (chain, all) = chain();
        // Block 5 holds leaf 5; block 21 leaves 7 and 8.
        for (oldest, first) in [(5, 5), (6, 6), (7, 7), (21, 7), (22, 9), (60, 14)] {
            let pruned = Unanswered::Pruned { from: first, oldest: Height::new(oldest) };
            assert_eq!(ask(&chain, first - 1, oldest, 99).await, Err(pruned), "{oldest}");
            let page = ask(&chain, first, oldest, 99).await.expect("it is there");
            assert_eq!(page.hashes, all[first as usize..]);
        }
    }
}
