//! The agreements, started alike: same chain, keys, settings, channels.

use crate::{
    Config, Network, Node, PublicKey, StartError,
    common::replica::Running,
    harness::{Error, Fault, Plan, Protocol},
    pbft, pow,
};
use commonware_p2p::{AddressableManager, Blocker, Receiver, Sender};
use commonware_runtime::{Clock, Metrics, Spawner, Storage};
use rand::rand_core::CryptoRng;
use voltmesh_ledger::{PrivateKey, testing};

/// The chain with all its keys. The committee of ours is elected from the third epoch on; of PBFT only it is there at all.
pub(super) fn chain(plan: &Plan) -> Result<testing::Network, Error> {
    let network = testing::Network::with_epochs(plan.replicas() as u64, plan.epoch_length);
    let wrong = |error: voltmesh_ledger::Error| Error::Plan(error.to_string());
    let mut genesis = network.genesis().clone().with_terms(plan.term_length).map_err(wrong)?;
    if plan.protocol == Protocol::Poa {
        let committee = plan.committee.filter(|k| *k < plan.authorities).map(|k| k as u8);
        genesis = genesis.with_committee(committee).map_err(wrong)?;
    }
    Ok(network.with_genesis(genesis))
}

/// Whether the agreement is there and can have that fault.
pub(super) fn check(plan: &Plan) -> Result<(), Error> {
    // The equivocating authority speaks our agreement only; a miner that equivocates wastes its work.
    if plan.fault == Fault::Equivocate && plan.protocol != Protocol::Poa {
        return Err(Error::Missing { protocol: plan.protocol, what: "equivocating node" });
    }
    Ok(())
}

/// Settings of a node.
pub(super) fn config(plan: &Plan, chain: &testing::Network, key: PrivateKey) -> Config {
    let mut config = Config::new(key, chain.genesis().clone());
    config.block_interval = plan.block_interval;
    config.block_bytes = plan.block_bytes;
    // The other agreements have none: a receipt is what our ledger adds to agreement.
    config.root_receipts = false;
    config
}

/// How blocks are mined: `work` at so many hashes a second of every node.
pub(super) fn mining(plan: &Plan, work: pow::Work, hash_rate: u64) -> pow::Settings {
    pow::Settings { interval: plan.pow_interval, work, hash_rate, ..pow::Settings::default() }
}

/// Starts a node.
pub(super) async fn start<E, S, R, P, B>(
    plan: &Plan,
    context: E,
    config: Config,
    mining: pow::Settings,
    network: Network<S, R, P, B>,
) -> Result<Running, StartError>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    match plan.protocol {
        Protocol::Poa => Ok(Node::start(context, config, network).await?.into()),
        Protocol::Pbft => pbft::start(context, config, pbft::Settings::default(), network).await,
        Protocol::Pow => Ok(pow::start(context, config, mining, network).await),
    }
}
