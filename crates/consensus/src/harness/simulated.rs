//! Measurements in virtual time: all nodes, links and disks in one thread, repeatable under a seed. The same plan has
//! the same result to the last figure, but for processor time, which is this machine's.

use crate::{
    PublicKey,
    common::network::MAX_MESSAGE_BYTES,
    harness::{
        Error, Fault, Measured, Plan, Progress, Traffic, adversary,
        cpu::CpuClock,
        protocols,
        simulated_network::{Wires, channels, quota},
        stage::{Stage, faulty},
    },
    pow,
};
use commonware_cryptography::Signer as _;
use commonware_p2p::{Manager as _, simulated};
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{NZUsize, ordered::Set};
use std::{num::NonZeroUsize, sync::Arc, time::Duration};

/// Virtual time that each turn of the simulator takes. A message passes some ten tasks of a node, which take
/// microseconds each in earnest; the simulator's default of 1 ms would add as much as a link to each step.
const CYCLE: Duration = Duration::from_micros(20);

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
