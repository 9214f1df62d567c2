//! `voltmesh chain follow`: a line for each final block as it comes.

use std::time::Duration;

use anyhow::{Context as _, Result};
use voltmesh_fog::answers::FinalBlock;

use super::answer::called;
use crate::http::{Http, Refused};
use crate::{args, output};

/// How often in a row a fog node that went away is asked again, and how long after each time: half a minute for a
/// restart.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

pub async fn run(http: &Http, options: &args::Follow) -> Result<()> {
    let mut follower = Follower { options, next: options.from, shown: 0 };
    if !options.ask.json {
        output::line(HEADER);
    }
    let mut tries = 0;
    loop {
        let before = follower.shown;
        let ended = follower.follow(http).await;
        if follower.shown > before {
            tries = 0;
        }
        match ended {
            Ok(true) => return Ok(()),
            // A refusal is an answer: the node is there.
            Err(error) if follower.shown == 0 || error.is::<Refused>() || tries >= TRIES => {
                return Err(error);
            }
            Ok(false) if tries >= TRIES => anyhow::bail!("the fog node has ended"),
            Ok(false) | Err(_) if tries == 0 => {
                output::note("the fog node does not answer now; asking again")
            }
            Ok(false) | Err(_) => {}
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

struct Follower<'a> {
    options: &'a args::Follow,
    next: Option<u64>,
    shown: u64,
}

impl Follower<'_> {
    /// Shows what comes on one connection. True if that was all that was asked for, or nobody reads any more.
    async fn follow(&mut self, http: &Http) -> Result<bool> {
        let from = self.next.map_or(String::new(), |next| format!("?from={next}"));
        let path = format!("/chain/follow{from}");
        let mut events = http.events(self.options.ask.fog.fog, &path).await?;
        while self.options.blocks.is_none_or(|blocks| self.shown < blocks) {
            let Some(data) = events.next().await? else { return Ok(false) };
            let block: FinalBlock = serde_json::from_str(&data).context("an event is no block")?;
            let text = match self.options.ask.json {
                true => serde_json::to_string(&block)?,
                false => line(&block),
            };
            if output::try_line(&text).is_err() {
                return Ok(true);
            }
            self.next = Some(block.height + 1);
            self.shown += 1;
        }
        Ok(true)
    }
}

const HEADER: &str =
    "  height   epoch.view  leader            transactions  records    bytes  final after  skipped views";

fn line(block: &FinalBlock) -> String {
    let leader = block.leader.as_ref().map_or("–".into(), |key| called(key, block.leader_name.as_ref()));
    let after = block.final_after_ms.map_or_else(|| "–".into(), |ms| format!("{ms} ms"));
    let view = format!("{}.{}", block.epoch, block.view);
    format!(
        "{:>8} {view:>12}  {leader:<16}  {:>12} {:>8} {:>8} {after:>12}  {:>13}",
        block.height, block.transactions, block.records, block.bytes, block.skipped_views
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_below_their_header() {
        let block = FinalBlock {
            height: 1_234,
            epoch: 24,
            view: 35,
            skipped_views: 7,
            leader: Some("ab".repeat(32)),
            leader_name: Some("fog-2".into()),
            transactions: 3,
            batches: 4,
            records: 400,
            bytes: 2_048,
            time_ms: 0,
            final_after_ms: Some(42),
        };
        let text = line(&block);
        for (name, value) in
            [("height", "1234"), ("bytes", "2048"), ("final after", "42 ms"), ("skipped views", "7")]
        {
            let end =
                |text: &str, part: &str| text.find(part).map(|at| text[..at + part.len()].chars().count());
            assert_eq!(end(HEADER, name), end(&text, value), "{name}\n{HEADER}\n{text}");
        }
        let past = line(&FinalBlock { final_after_ms: None, leader_name: None, ..block });
        assert!(past.contains("abababababababab") && past.contains(" – "), "{past}");
    }
}
