//! What goes wrong, and when: a schedule from the seed. Every fault ends before the calm.

use rand::{Rng, RngExt as _};

/// A node by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Fog node number n.
    Fog(usize),
    /// Vehicle number n.
    Edge(usize),
    /// The cloud.
    Cloud,
}

/// One change of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Power off; unsynced writes are lost or torn.
    PowerOff(Target),
    /// The process is killed.
    Kill(Target),
    /// A fog node loses its disk; it comes back under a rotated key.
    Wipe(usize),
    /// Power or process is back.
    Start(Target),
    /// The disk has so few bytes left.
    Fill(Target, u64),
    /// Syncs take up to so many milliseconds.
    Slow(Target, u64),
    /// Of 1,000 syncs, so many fail.
    FailSyncs(Target, u32),
    /// The disk behaves again.
    Heal(Target),
    /// The roads between two nodes are cut.
    Cut(Target, Target),
    /// They are open again.
    Join(Target, Target),
    /// Links lose so many of 1,000 segments, and reset.
    BadLinks(u32),
    /// Links are good again.
    GoodLinks,
    /// Authorities' messages: of 1,000, so many are lost, doubled, out of order.
    BadMesh(u32, u32, u32),
    /// They are good again.
    GoodMesh,
    /// Of 1,000 commits to the archive, so many are reported as failed.
    FailCommits(u32),
    /// The archive is good again.
    GoodCommits,
    /// A fog node's authority gets a twin under the same key: it equivocates.
    Twin(usize),
    /// The twin is gone.
    Single(usize),
    /// A fog node's clock is off by so many milliseconds from its next start on; it is restarted.
    Skew(usize, i64),
}

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// Power cuts and kills.
    pub crashes: bool,
    /// Full, slow and failing disks.
    pub disks: bool,
    /// Partitions, loss, duplication, reordering.
    pub links: bool,
    /// At most one of: a wiped fog node, a Byzantine authority, a wrong clock. Together they would exceed f = 1.
    pub byzantine: bool,
}

impl Kinds {
    /// Everything.
    pub const ALL: Self = Self { crashes: true, disks: true, links: true, byzantine: true };
    /// Nothing.
    pub const NONE: Self = Self { crashes: false, disks: false, links: false, byzantine: false };
}

/// The schedule: changes by time in milliseconds, in order.
pub fn schedule(
    rng: &mut impl Rng,
    kinds: Kinds,
    fogs: usize,
    edges: usize,
    from_ms: u64,
    calm_ms: u64,
) -> Vec<(u64, Change)> {
    let mut changes = Vec::new();
    let all: Vec<Target> =
        (0..fogs).map(Target::Fog).chain((0..edges).map(Target::Edge)).chain([Target::Cloud]).collect();
    let span = calm_ms.saturating_sub(from_ms);
    // About one fault of each kind per 15 s and, for crashes, per three nodes.
    let count = |rng: &mut dyn Rng, per: u64| rng.random_range(0..=1 + span / per);
    let pick = |rng: &mut dyn Rng| all[rng.random_range(0..all.len())];
    let window = |rng: &mut dyn Rng, longest: u64| {
        let start = from_ms + rng.random_range(0..span.max(1));
        let end = start + rng.random_range(200..=longest.max(201));
        (start, end.min(calm_ms))
    };
    if kinds.crashes {
        for _ in 0..count(rng, 6_000) {
            let (target, (off, on)) = (pick(rng), window(rng, 8_000));
            let change = if rng.random() { Change::PowerOff(target) } else { Change::Kill(target) };
            changes.push((off, change));
            changes.push((on, Change::Start(target)));
        }
    }
    if kinds.disks {
        for _ in 0..count(rng, 12_000) {
            let (target, (start, end)) = (pick(rng), window(rng, 6_000));
            let change = match rng.random_range(0..3u32) {
                0 => Change::Fill(target, rng.random_range(0..64 * 1024)),
                1 => Change::Slow(target, rng.random_range(20..800)),
                _ => Change::FailSyncs(target, rng.random_range(20..500)),
            };
            changes.push((start, change));
            changes.push((end, Change::Heal(target)));
        }
        if rng.random() {
            let (start, end) = window(rng, 6_000);
            changes.push((start, Change::FailCommits(rng.random_range(50..600))));
            changes.push((end, Change::GoodCommits));
        }
    }
    if kinds.links {
        for _ in 0..count(rng, 10_000) {
            // One node, or one pair, is cut off.
            let (target, (start, end)) = (pick(rng), window(rng, 8_000));
            let other = pick(rng);
            let alone = rng.random::<bool>();
            for peer in all.iter().copied().filter(|peer| *peer != target && (alone || *peer == other)) {
                changes.push((start, Change::Cut(target, peer)));
                changes.push((end, Change::Join(target, peer)));
            }
        }
        if rng.random() {
            let (start, end) = window(rng, 15_000);
            changes.push((start, Change::BadLinks(rng.random_range(10..400))));
            changes.push((end, Change::GoodLinks));
        }
        if rng.random() {
            let (start, end) = window(rng, 15_000);
            let bad =
                Change::BadMesh(rng.random_range(0..200), rng.random_range(0..200), rng.random_range(0..400));
            changes.push((start, bad));
            changes.push((end, Change::GoodMesh));
        }
    }
    if kinds.byzantine && fogs > 3 {
        let (fog, (start, end)) = (rng.random_range(0..fogs), window(rng, 20_000));
        match rng.random_range(0..4u32) {
            0 => {
                changes.push((start, Change::Wipe(fog)));
                changes.push((end, Change::Start(Target::Fog(fog))));
            }
            1 => {
                changes.push((start, Change::Twin(fog)));
                changes.push((end, Change::Single(fog)));
            }
            2 => {
                let by = rng.random_range(100..20_000i64);
                changes.push((start, Change::Skew(fog, if rng.random() { by } else { -by })));
                changes.push((end, Change::Skew(fog, 0)));
            }
            _ => {}
        }
    }
    changes.sort_by_key(|(at, _)| *at);
    changes
}
