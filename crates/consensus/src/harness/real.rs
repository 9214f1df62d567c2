//! Measurements in real time: every node on its own sockets of this machine, encrypted and authenticated as in earnest,
//! all in one process. Latencies are those of a machine that does every node's work; processor time is real.

use crate::{
    AddressBook,
    harness::{
        Error, Fault, Measured, Plan, Progress, Traffic, adversary,
        cpu::CpuClock,
        protocols,
        stage::{Stage, faulty},
    },
    pow, sockets,
};
use commonware_cryptography::Signer as _;
use commonware_p2p::Address;
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, tokio};
use std::{net::SocketAddr, path::Path, sync::Arc};

/// Puzzles tried to find out how fast a core is: some tens of milliseconds.
const ATTEMPTS: u64 = 200_000;

/// Measures on real sockets: a node listens on each of `listen`, and keeps what it keeps in `folder`. Not generic, so
/// that every agreement is compiled for sockets once.
///
/// # Errors
///
/// See [`Error`].
pub fn measure_on_sockets(
    plan: &Plan,
    listen: &[SocketAddr],
    folder: &Path,
    progress: &Progress,
) -> Result<Measured, Error> {
    plan.check().map_err(Error::Plan)?;
    protocols::check(plan)?;
    if let Fault::Slow(_) | Fault::Partition = plan.fault {
        return Err(Error::Plan(format!("links of real sockets cannot be changed, so no {}", plan.fault)));
    }
    if listen.len() != plan.replicas() {
        return Err(Error::Plan(format!("{} addresses for {} nodes", listen.len(), plan.replicas())));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let config = tokio::Config::default().with_storage_directory(folder).with_worker_threads(cores);
    tokio::Runner::new(config).start(|context| run(context, plan, listen, progress))
}

async fn run(
    context: tokio::Context,
    plan: &Plan,
    listen: &[SocketAddr],
    progress: &Progress,
) -> Result<Measured, Error> {
    let chain = protocols::chain(plan)?;
    let keys: Vec<_> = (0..plan.replicas()).map(|node| chain.authority(node).clone()).collect();
    let addresses: AddressBook =
        keys.iter().zip(listen).map(|(key, at)| (key.public_key(), Address::Symmetric(*at))).collect();
    let faulty = faulty(plan);
    let traffic = Arc::new(Traffic::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let core = pow::hash_rate(&context, ATTEMPTS).unwrap_or(pow::Settings::default().hash_rate);
    // Miners share the cores.
    let rate = (core * cores as u64 / plan.replicas() as u64).max(1);
    let mining = protocols::mining(plan, pow::Work::Puzzle, rate);
    let mut nodes = Vec::new();
    for (node, (key, listen)) in keys.into_iter().zip(listen).enumerate() {
        let context = context.child("authority").with_attribute("index", node);
        let mut config = protocols::config(plan, &chain, key.clone());
        config.partition = format!("node-{node}");
        config.addresses = addresses.clone();
        let genesis = chain.genesis().clone();
        let (network, _copies) =
            sockets::network(context.child("network"), *listen, true, &config, traffic.clone());
        let context = context.child("ledger");
        if plan.fault == Fault::Equivocate && faulty.contains(&node) {
            context.spawn(move |_| adversary::run(adversary::Fault::Equivocates, genesis, key, network));
            nodes.push(None);
            continue;
        }
        let started = protocols::start(plan, context, config, mining, network).await;
        nodes.push(Some(started.map_err(|source| Error::Start { protocol: plan.protocol, node, source })?));
    }
    let stage =
        Stage { chain, nodes, traffic, clock: CpuClock::Process, simulated_hash_rate: None, wires: None };
    stage.measure(context, plan, progress).await
}
