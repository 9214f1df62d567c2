//! Schedule of faults from the seed. Every fault ends before the calm.

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
    /// The archive's store is slow and fails.
    BadStore(StoreFault),
    /// The archive's store is good again.
    GoodStore,
    /// A second writer opens the archive, merges files and goes.
    Intrude,
    /// A fog node's authority gets a twin under the same key: it equivocates.
    Twin(usize),
    /// The twin is gone.
    Single(usize),
    /// A fog node's clock is off by so many milliseconds from its next start on; it is restarted.
    Skew(usize, i64),
}

/// Fault of the archive's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFault {
    /// A request takes up to so many milliseconds.
    pub latency_ms: u64,
    /// Of 1,000 requests, so many fail without effect; 1,000 is a store that cannot be reached.
    pub refused: u32,
    /// Of 1,000 requests, so many take effect and lose their answer.
    pub unanswered: u32,
    /// Listings leave out new objects for up to so many milliseconds.
    pub list_lag_ms: u64,
}

/// Kinds of faults that may happen.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// Slow and failing requests to the archive's store, a second writer.
    pub store: bool,
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
    pub const ALL: Self = Self { crashes: true, disks: true, links: true, store: true, byzantine: true };
    /// Nothing.
    pub const NONE: Self =
        Self { crashes: false, disks: false, links: false, store: false, byzantine: false };
}

/// The span of time that faults may have, and whom they may hit.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Fog nodes.
    pub fogs: usize,
    /// Vehicles.
    pub edges: usize,
    /// Faults begin from here on, in milliseconds.
    pub from_ms: u64,
    /// They have all ended here.
    pub calm_ms: u64,
    /// No fault is longer.
    pub longest_ms: u64,
    /// The cloud is away from the beginning to the calm, and nothing else happens to it.
    pub without_cloud: bool,
}

/// Requests to the store take at most so long, in milliseconds: the simulation's end waits for what is under way.
const MAX_LATENCY_MS: f64 = 30_000.0;

struct Draw<'a, R> {
    rng: &'a mut R,
    stage: Stage,
    span: u64,
    changes: Vec<(u64, Change)>,
}

impl<R: Rng> Draw<'_, R> {
    /// About one fault a so many milliseconds, in a long run at most some 16.
    fn count(&mut self, per: u64) -> u64 {
        let per = per.max(self.span / 15);
        self.rng.random_range(0..=1 + self.span / per)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.random_range(0..of.len())]
    }

    /// A value evenly over the orders of magnitude.
    fn between(&mut self, least: f64, most: f64) -> u64 {
        (least * (most / least).max(1.0).powf(self.rng.random::<f64>())) as u64
    }

    /// When a fault begins and ends: a fifth of a second to the longest.
    fn window(&mut self) -> (u64, u64) {
        let start = self.stage.from_ms + self.rng.random_range(0..self.span.max(1));
        let long = self.between(200.0, self.stage.longest_ms as f64);
        (start, (start + long).min(self.stage.calm_ms))
    }

    fn during(&mut self, begin: Change, end: Change) {
        let (start, stop) = self.window();
        self.changes.push((start, begin));
        self.changes.push((stop, end));
    }

    fn crashes(&mut self, all: &[Target]) {
        for _ in 0..self.count(6_000) {
            let target = self.pick(all);
            let off = if self.rng.random() { Change::PowerOff(target) } else { Change::Kill(target) };
            self.during(off, Change::Start(target));
        }
    }

    fn disks(&mut self, all: &[Target]) {
        for _ in 0..self.count(12_000) {
            let target = self.pick(all);
            let change = match self.rng.random_range(0..3u32) {
                0 => Change::Fill(target, self.rng.random_range(0..64 * 1024)),
                1 => Change::Slow(target, self.rng.random_range(20..800)),
                _ => Change::FailSyncs(target, self.rng.random_range(20..500)),
            };
            self.during(change, Change::Heal(target));
        }
    }

    fn links(&mut self, all: &[Target]) {
        for _ in 0..self.count(10_000) {
            // One node, or one pair, is cut off.
            let (target, (start, end)) = (self.pick(all), self.window());
            let other = self.pick(all);
            let alone = self.rng.random::<bool>();
            self.cut(start, end, target, all.iter().copied().filter(|peer| alone || *peer == other));
        }
        if self.rng.random() {
            let loss = self.rng.random_range(10..400);
            self.during(Change::BadLinks(loss), Change::GoodLinks);
        }
        if self.rng.random() {
            let (lost, doubled) = (self.rng.random_range(0..200), self.rng.random_range(0..200));
            let bad = Change::BadMesh(lost, doubled, self.rng.random_range(0..400));
            self.during(bad, Change::GoodMesh);
        }
        for edge in 0..self.stage.edges {
            if self.rng.random_range(0..3u32) == 0 {
                self.roam(edge);
            }
        }
    }

    fn cut(&mut self, start: u64, end: u64, target: Target, peers: impl Iterator<Item = Target>) {
        for peer in peers.filter(|peer| *peer != target) {
            self.changes.push((start, Change::Cut(target, peer)));
            self.changes.push((end, Change::Join(target, peer)));
        }
    }

    /// A vehicle drives from fog node to fog node: it reaches one at a time, while its copies are under way.
    fn roam(&mut self, edge: usize) {
        let (mut at, end) = self.window();
        let mut left = 12;
        while at < end && left > 0 {
            let stay = self.between(300.0, (self.stage.longest_ms as f64 / 4.0).max(300.0));
            let (fog, until) = (self.rng.random_range(0..self.stage.fogs), (at + stay).min(end));
            let others = (0..self.stage.fogs).filter(|other| *other != fog).map(Target::Fog);
            self.cut(at, until, Target::Edge(edge), others.collect::<Vec<_>>().into_iter());
            (at, left) = (until, left - 1);
        }
    }

    fn store(&mut self) {
        for _ in 0..self.count(9_000) {
            let latency_ms = self.between(20.0, MAX_LATENCY_MS);
            let mut fault = StoreFault { latency_ms, refused: 0, unanswered: 0, list_lag_ms: 0 };
            match self.rng.random_range(0..4u32) {
                // Slow, and no more.
                0 => {}
                1 => {
                    fault.latency_ms = fault.latency_ms.min(2_000);
                    fault.refused = self.rng.random_range(1..300);
                    fault.unanswered = self.rng.random_range(1..200);
                }
                2 => fault.list_lag_ms = self.between(50.0, MAX_LATENCY_MS),
                _ => (fault.latency_ms, fault.refused) = (100, 1_000),
            }
            self.during(Change::BadStore(fault), Change::GoodStore);
        }
        if self.rng.random_range(0..4u32) == 0 {
            let (start, _) = self.window();
            self.changes.push((start, Change::Intrude));
        }
    }

    fn byzantine(&mut self) {
        let fog = self.rng.random_range(0..self.stage.fogs);
        match self.rng.random_range(0..4u32) {
            0 => self.during(Change::Wipe(fog), Change::Start(Target::Fog(fog))),
            1 => self.during(Change::Twin(fog), Change::Single(fog)),
            2 => {
                let by = self.rng.random_range(100..20_000i64);
                let by = if self.rng.random() { by } else { -by };
                self.during(Change::Skew(fog, by), Change::Skew(fog, 0));
            }
            _ => {}
        }
    }
}

/// The schedule: changes by time in milliseconds, in order.
pub fn schedule(rng: &mut impl Rng, kinds: Kinds, stage: Stage) -> Vec<(u64, Change)> {
    let span = stage.calm_ms.saturating_sub(stage.from_ms);
    let nodes = (0..stage.fogs).map(Target::Fog).chain((0..stage.edges).map(Target::Edge));
    let cloud = (!stage.without_cloud).then_some(Target::Cloud);
    let all: Vec<Target> = nodes.chain(cloud).collect();
    let mut draw = Draw { rng, stage, span, changes: Vec::new() };
    if stage.without_cloud {
        draw.changes.push((stage.from_ms, Change::PowerOff(Target::Cloud)));
        draw.changes.push((stage.calm_ms, Change::Start(Target::Cloud)));
    }
    if kinds.crashes {
        draw.crashes(&all);
    }
    if kinds.disks {
        draw.disks(&all);
    }
    if kinds.links {
        draw.links(&all);
    }
    if kinds.store {
        draw.store();
    }
    if kinds.byzantine && stage.fogs > 3 {
        draw.byzantine();
    }
    let mut changes = draw.changes;
    changes.sort_by_key(|(at, _)| *at);
    changes
}
