//! The course of a measurement, the same in virtual and in real time: wait until the chain runs, break what is to be
//! broken, load, warm up, measure, wait for what is still open.

use crate::{
    common::replica::ProtocolStats,
    harness::{
        Error, Fault, Load, Measured, Moment, Plan,
        book::{Book, Done},
        load::{Counter, Source},
        reads::Readers,
        report::Percentiles,
        simulated_network::Wires,
        stage::{Progress, Snapshot, Stage, faulty},
    },
};
use commonware_cryptography::Signer as _;
use commonware_runtime::{Clock, Spawner};
use commonware_utils::sync::Mutex;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Longest wait for the first final block: proof of work needs seven intervals.
const START: Duration = Duration::from_secs(120);

/// Steps of the timeline. A partition lasts from the first third of them to the second.
const STEPS: u32 = 60;

/// How often a wait looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

impl Stage {
    /// Measures. All nodes end with it.
    pub async fn measure<E>(mut self, context: E, plan: &Plan, progress: &Progress) -> Result<Measured, Error>
    where
        E: Clock + Spawner,
    {
        let faulty = faulty(plan);
        let live: Vec<usize> = (0..plan.replicas()).filter(|node| !faulty.contains(node)).collect();
        let keys: Vec<_> = (0..plan.replicas()).map(|node| self.chain.authority(node).clone()).collect();
        let book = Arc::new(Mutex::new(Book::new(keys.iter().map(|key| key.public_key()))));
        for (node, running) in self.nodes.iter().enumerate() {
            let Some(running) = running else { continue };
            let mut finals = running.replica.finals();
            let book = book.clone();
            context.child("observer").spawn(move |_| async move {
                while let Some(new) = finals.recv().await {
                    book.lock().note(node, &new);
                }
            });
        }
        let warm_up = plan.warm_up();
        let total = (warm_up + plan.window + plan.patience()).as_secs_f64();
        let begun = context.current();
        for node in &live {
            while !book.lock().any(*node) {
                if context.current() >= begun + START {
                    let (protocol, node) = (plan.protocol, *node);
                    return Err(Error::Still { protocol, node, seconds: START.as_secs() });
                }
                context.sleep(LOOK).await;
            }
        }
        if let Fault::Crash(_) = plan.fault {
            faulty.iter().for_each(|node| self.nodes[*node] = None);
        }

        let counters = live.iter().filter_map(|node| {
            let replica = self.nodes[*node].as_ref()?.replica.clone();
            Some(Counter { node: *node, key: keys[*node].clone(), replica })
        });
        let counters: Vec<Counter> = counters.collect();
        let readers = if plan.readers > 0 {
            let replicas = counters.iter().map(|counter| counter.replica.clone()).collect();
            Some(Readers::start(plan, &context, &self.chain, replicas).await?)
        } else {
            None
        };
        let source = Source::new(plan, self.chain.genesis().digest(), counters, book.clone());
        context.child("load").spawn(move |context| source.run(context));

        let begun = context.current();
        let tell = |now: SystemTime| {
            progress(now.duration_since(begun).unwrap_or_default().as_secs_f64() / total);
        };
        for step in 1..=STEPS {
            context.sleep_until(begun + warm_up * step / STEPS).await;
            tell(context.current());
        }

        let start = context.current();
        let end = start + plan.window;
        book.lock().open(start..end);
        let before = self.snapshot(readers.as_ref());
        let mut steps = Vec::new();
        for step in 1..=STEPS {
            context.sleep_until(start + plan.window * step / STEPS).await;
            let now = context.current();
            steps.push((now, self.snapshot(readers.as_ref())));
            tell(now);
            if plan.fault == Fault::Partition
                && let Some(wires) = &self.wires
            {
                if step == STEPS / 3 {
                    wires.cut().await?;
                } else if step == STEPS * 2 / 3 {
                    wires.heal().await?;
                    book.lock().heal(context.current());
                }
            }
        }
        // Latencies of what is still open belong to the window too. The load goes on meanwhile: without it, what is open
        // would be final sooner.
        if !matches!(plan.load, Load::Saturating(_)) {
            let last = end + plan.patience();
            while context.current() < last && book.lock().unfinished(&live) > 0 {
                context.sleep(LOOK).await;
                tell(context.current());
            }
        }
        progress(1.0);
        let book = book.lock();
        Ok(self.evaluate(plan, &book, &live, start..end, &before, &steps))
    }

    fn evaluate(
        &self,
        plan: &Plan,
        book: &Book,
        live: &[usize],
        window: std::ops::Range<SystemTime>,
        before: &Snapshot,
        steps: &[(SystemTime, Snapshot)],
    ) -> Measured {
        let after = steps.last().map_or(before, |(_, last)| last);
        let hashes = |at: &Snapshot| -> u64 { at.detours.iter().map(|detours| detours.hashes).sum() };
        let hash_s = self.simulated_hash_rate.map_or(0.0, |rate| 1.0 / rate as f64);
        let cpu_s = |at: &Snapshot| {
            at.cpu_s - before.cpu_s + (hashes(at) - hashes(before).min(hashes(at))) as f64 * hash_s
        };
        let most = |count: fn(&ProtocolStats) -> u64| {
            let grown =
                |node: &usize| count(&after.detours[*node]).saturating_sub(count(&before.detours[*node]));
            live.iter().map(grown).max().unwrap_or(0)
        };
        let undone = after.detours.iter().map(|detours| detours.conflicting_finals).max().unwrap_or(0);
        let heights: Vec<_> = book.heights.values().filter(|height| window.contains(&height.first)).collect();
        let sent = std::array::from_fn(|channel| after.sent[channel].since(before.sent[channel]));
        let mut last = window.start;
        let timeline = steps.iter().map(|(now, at)| {
            let since = std::mem::replace(&mut last, *now);
            let done = book.done.iter().filter(|done| (since..*now).contains(&done.at));
            let latency = Percentiles::of(done.map(Done::latency));
            let counted = heights.iter().filter(|height| height.first < *now);
            Moment {
                at_s: now.duration_since(window.start).unwrap_or_default().as_secs_f64(),
                transactions: counted.map(|height| height.transactions).sum(),
                latency_ms: (latency.count > 0).then_some(latency.p50.as_secs_f64() * 1e3),
                cpu_s: cpu_s(at),
                bytes: at.sent.iter().zip(&before.sent).map(|(at, before)| at.since(*before).bytes).sum(),
            }
        });
        let timeline = timeline.collect();
        let window_s = window.end.duration_since(window.start).unwrap_or_default().as_secs_f64();
        let hashes = hashes(after).saturating_sub(hashes(before));
        Measured {
            protocol: plan.protocol,
            authorities: plan.replicas(),
            committee: plan.committee.unwrap_or(plan.replicas()),
            epoch: before.epoch,
            window_s,
            latency: book.latency(),
            finality: book.finality(live),
            mean_link_ms: self.wires.as_ref().map(Wires::mean_ms),
            blocks: heights.len() as u64,
            transactions: heights.iter().map(|height| height.transactions).sum(),
            records: heights.iter().map(|height| height.records).sum(),
            submitted: book.submitted,
            refused: book.refused,
            unfinished: book.unfinished(live),
            sent,
            measured_cpu_s: after.cpu_s - before.cpu_s,
            puzzle_cpu_s: hashes as f64 * hash_s,
            hashes,
            view_changes: most(|detours| detours.view_changes),
            forks: most(|detours| detours.forks),
            // What was seen from here, or what a node itself had to undo.
            conflicting_finals: undone.max(book.conflicts()),
            reads_per_s: (plan.readers > 0).then(|| (after.reads - before.reads) as f64 / window_s),
            recovery: book.recovery(live),
            timeline,
        }
    }
}
