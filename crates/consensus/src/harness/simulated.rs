//! Measurements in virtual time: all nodes, links and disks in one thread, repeatable under a seed. The same plan has
//! the same result to the last figure, but for processor time, which is this machine's.

use super::{
    Counted, Error, Fault, Links, Measured, Plan, Progress, Traffic,
    cpu::CpuClock,
    measure::{Stage, faulty},
    protocols,
};
use crate::{
    PublicKey, adversary,
    network::{self, Channels, Fixed, MAX_MESSAGE_BYTES, Network},
    pow,
    testing::SimulatedNetwork,
};
use commonware_cryptography::Signer as _;
use commonware_p2p::{
    Manager as _,
    simulated::{self, Link, Oracle},
};
use commonware_runtime::{Quota, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{NZU32, NZUsize, ordered::Set};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

/// Virtual time that each turn of the simulator takes. A message passes some ten tasks of a node, which take
/// microseconds each in earnest; the simulator's default of 1 ms would add as much as a link to each step.
const CYCLE: Duration = Duration::from_micros(20);

/// Messages per second and peer on a channel. Two votes a block at some hundred blocks a second on a `lan`: the nodes' own
/// quota of 128 would lose votes there. Channels whose receivers reserve room for a second of all peers get what they
/// need: 50 peers × 500 × some 200 B = 5 MB a node.
fn quota(channel: u64) -> NonZeroU32 {
    match channel {
        network::VOTES | network::CERTIFICATES | network::TRANSACTIONS | network::ROOTS => NZU32!(4_000),
        network::BLOCKS => NZU32!(500),
        _ => network::QUOTA,
    }
}

type Control = Oracle<PublicKey, deterministic::Context>;

/// The links of a simulated network.
#[derive(Clone)]
pub(super) struct Wires {
    oracle: Control,
    keys: Vec<PublicKey>,
    links: Links,
    /// What these nodes send is under way as long as the plan's fault says.
    late: Vec<usize>,
    edge: Duration,
}

impl Wires {
    /// Mean latency of a link, without those that a fault slows down.
    pub fn mean_ms(&self) -> f64 {
        self.links.mean_ms()
    }

    fn link(&self, from: usize, to: usize) -> Link {
        let link = self.links.between(from, to).link();
        if self.late.contains(&from) { Link { latency: link.latency.max(self.edge), ..link } } else { link }
    }

    async fn connect(&self, from: usize, to: usize) -> Result<(), Error> {
        let (a, b) = (self.keys[from].clone(), self.keys[to].clone());
        self.oracle.add_link(a, b, self.link(from, to)).await.map_err(Error::Network)
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let n = self.keys.len();
        (0..n).flat_map(move |a| (0..n).filter(move |b| a != *b).map(move |b| (a, b)))
    }

    fn across(&self) -> impl Iterator<Item = (usize, usize)> {
        let half = self.keys.len() / 2;
        self.pairs().filter(move |(a, b)| (*a < half) != (*b < half))
    }

    /// Separates the first half of the nodes from the others.
    pub async fn cut(&self) -> Result<(), Error> {
        for (a, b) in self.across() {
            let (a, b) = (self.keys[a].clone(), self.keys[b].clone());
            self.oracle.remove_link(a, b).await.map_err(Error::Network)?;
        }
        Ok(())
    }

    /// Undoes [`Self::cut`].
    pub async fn heal(&self) -> Result<(), Error> {
        for (a, b) in self.across() {
            self.connect(a, b).await?;
        }
        Ok(())
    }
}

/// A node's channels of a simulated network, counted.
///
/// # Errors
///
/// If the network has ended.
pub(crate) async fn channels(
    oracle: &Control,
    me: PublicKey,
    quota: fn(u64) -> NonZeroU32,
    traffic: &Arc<Traffic>,
) -> Result<SimulatedNetwork, simulated::Error> {
    let control = oracle.control(me.clone());
    let register = async |channel| {
        let (sender, receiver) = control.register(channel, Quota::per_second(quota(channel))).await?;
        Ok((Counted::new(sender, me.clone(), channel, traffic.clone()), receiver))
    };
    let channels = Channels {
        votes: register(network::VOTES).await?,
        certificates: register(network::CERTIFICATES).await?,
        resolver: register(network::RESOLVER).await?,
        blocks: register(network::BLOCKS).await?,
        backfill: register(network::BACKFILL).await?,
        transactions: register(network::TRANSACTIONS).await?,
        roots: register(network::ROOTS).await?,
    };
    Ok(Network { channels, peers: Fixed(oracle.manager()), blocker: control })
}

/// Measures in virtual time. Not generic, so that every agreement is compiled for the simulated network once.
///
/// # Errors
///
/// See [`Error`].
pub fn simulate(plan: &Plan, progress: &Progress) -> Result<Measured, Error> {
    plan.check().and_then(|()| plan.check_memory()).map_err(Error::Plan)?;
    if plan.readers > 0 {
        return Err(Error::Plan("virtual time has no readings a second".to_owned()));
    }
    protocols::check(plan)?;
    let config = deterministic::Config::new().with_seed(plan.seed).with_cycle(CYCLE);
    deterministic::Runner::new(config).start(|context| run(context, plan, progress))
}

async fn run(context: deterministic::Context, plan: &Plan, progress: &Progress) -> Result<Measured, Error> {
    let chain = protocols::chain(plan)?;
    let n = plan.replicas();
    let keys: Vec<PublicKey> = (0..n).map(|node| chain.authority(node).public_key()).collect();
    let (network, oracle) = simulated::Network::new(
        context.child("network"),
        simulated::Config {
            max_size: MAX_MESSAGE_BYTES,
            max_peers_per_set: NonZeroUsize::new(n).unwrap_or(NZUsize!(1)),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        },
    );
    network.start();
    oracle.manager().track(0, Set::from_iter_dedup(keys.iter().cloned()));
    let faulty = faulty(plan);
    let mut late = Vec::new();
    if let Fault::Slow(_) = plan.fault {
        late.clone_from(&faulty);
    }
    let sample = protocols::config(plan, &chain, chain.authority(0).clone());
    let all = plan.profile.links(plan.authorities, plan.seed);
    let links = if n < plan.authorities { all.best(n) } else { all };
    let wires = Wires {
        oracle: oracle.clone(),
        keys: keys.clone(),
        links,
        late,
        edge: sample.leader_timeout * 3 / 4,
    };
    for (a, b) in wires.pairs() {
        wires.connect(a, b).await?;
    }
    let traffic = Arc::new(Traffic::default());
    let chance = pow::Work::Virtual { seed: None };
    let mining = protocols::mining(plan, chance, pow::Settings::default().hash_rate);
    let mut nodes = Vec::new();
    for (node, key) in keys.iter().enumerate() {
        let own = channels(&oracle, key.clone(), quota, &traffic).await.map_err(Error::Network)?;
        let context = context.child("node").with_attribute("index", node);
        let secret = chain.authority(node).clone();
        if plan.fault == Fault::Equivocate && faulty.contains(&node) {
            let genesis = chain.genesis().clone();
            context.spawn(move |_| adversary::run(adversary::Fault::Equivocates, genesis, secret, own));
            nodes.push(None);
            continue;
        }
        let mut config = protocols::config(plan, &chain, secret);
        config.partition = format!("node-{node}");
        let started = protocols::start(plan, context, config, mining, own).await;
        nodes.push(Some(started.map_err(|source| Error::Start { protocol: plan.protocol, node, source })?));
    }
    let stage = Stage {
        chain,
        nodes,
        traffic,
        clock: CpuClock::Thread,
        simulated_hash_rate: Some(mining.hash_rate),
        wires: Some(wires),
    };
    stage.measure(context, plan, progress).await
}
