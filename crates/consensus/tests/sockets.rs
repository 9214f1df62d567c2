//! Four nodes, and four miners that hash, over real sockets on loopback, in one process.

use commonware_cryptography::Signer as _;
use commonware_p2p::Address;
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _, tokio};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use voltmesh_consensus::{
    AddressBook, Config, Node,
    harness::{Fault, Load, Plan, Progress, Protocol, measure_on_sockets},
    network,
    pow::{self, Settings, Work},
    testing::batch,
};
use voltmesh_ledger::{Anchor, Height, Transaction, testing};

/// Ports that were free a moment ago.
fn free_addresses(n: usize) -> Vec<SocketAddr> {
    let listeners: Vec<_> =
        (0..n).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("bound")).collect()
}

/// Where each of four authorities listens, and its settings.
fn members(keys: &testing::Network) -> Vec<(SocketAddr, Config)> {
    let addresses = free_addresses(4);
    let key = |index: usize| keys.authority(index).clone();
    let book: AddressBook =
        (0..4).map(|index| (key(index).public_key(), Address::Symmetric(addresses[index]))).collect();
    let member = |index: usize| {
        let mut config = Config::new(key(index), keys.genesis().clone());
        config.addresses = book.clone();
        (addresses[index], config)
    };
    (0..4).map(member).collect()
}

/// The socket network of a node with these settings.
fn connect(
    context: &tokio::Context,
    listen: SocketAddr,
    config: &Config,
) -> network::SocketNetwork<tokio::Context> {
    let mut chain = [0; 32];
    chain.copy_from_slice(config.genesis.digest().as_ref());
    let private_key = config.private_key.clone();
    let settings = network::Config { private_key, chain, listen, any_source_address: false };
    let (network, _copies, _task) = network::start(context.child("network"), settings);
    network
}

#[test]
fn four_nodes_agree_over_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let runner =
        tokio::Runner::new(tokio::Config::new().with_worker_threads(2).with_storage_directory(folder.path()));
    runner.start(|context| async move {
        let keys = testing::Network::with_epochs(4, 5);
        let chain = keys.genesis().digest();
        let mut nodes = Vec::new();
        for (index, (listen, mut config)) in members(&keys).into_iter().enumerate() {
            let context = context.child("node").with_attribute("index", index);
            let network = connect(&context, listen, &config);
            config.partition = format!("node-{index}");
            nodes.push(Node::start(context, config, network).await.unwrap());
        }
        let work = async move {
            let anchor = Anchor::sign(&chain, keys.authority(1), 0, 1, vec![batch(1)]);
            nodes[1].handle().submit(Transaction::Anchor(anchor)).unwrap();
            let mut subscription = nodes[2].handle().subscribe(Height::new(1));
            loop {
                let finalized = subscription.next().await.unwrap();
                if finalized.entries.iter().any(|entry| entry.batch == batch(1)) {
                    assert!(finalized.root_signatures.len() >= 2);
                    break;
                }
            }
            for node in &nodes {
                assert!(node.handle().reached(Height::new(6)).await);
            }
        };
        let work = context.timeout(Duration::from_secs(60), work);
        work.await.expect("four nodes on one machine agree within a minute");
    });
}

#[test]
fn an_agreement_is_measured_over_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(Protocol::Poa);
    (plan.authorities, plan.load, plan.readers) = (4, Load::Poisson(20.0), 1);
    (plan.warm_up, plan.window) = (Duration::from_secs(1), Duration::from_secs(2));
    plan.block_interval = Duration::from_millis(100);
    let quiet: Progress = Arc::new(|_| {});
    let measured = measure_on_sockets(&plan, &free_addresses(4), folder.path(), &quiet).unwrap();
    assert_eq!((measured.conflicting_finals, measured.mean_link_ms), (0, None));
    assert!(measured.transactions > 0 && measured.latency.count > 0);
    assert!(measured.agreement().messages > 24 * measured.blocks / 2);
    assert!(measured.cpu_s() > 0.0 && measured.reads_per_s.unwrap() > 100.0);
    plan.fault = Fault::Partition;
    let refused = measure_on_sockets(&plan, &free_addresses(4), folder.path(), &quiet);
    assert!(refused.is_err_and(|error| error.to_string().contains("partition")));
}

#[test]
fn four_miners_agree_over_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let runner =
        tokio::Runner::new(tokio::Config::new().with_worker_threads(2).with_storage_directory(folder.path()));
    runner.start(|context| async move {
        // Four miners share what may be a single core.
        let rate = pow::hash_rate(&context, 20_000).expect("time passes");
        let settings = Settings {
            interval: Duration::from_millis(100),
            work: Work::Puzzle,
            hash_rate: rate.div_ceil(4),
            ..Settings::default()
        };
        let keys = testing::Network::with_epochs(4, 1_000);
        let chain = keys.genesis().digest();
        let mut miners = Vec::new();
        for (index, (listen, config)) in members(&keys).into_iter().enumerate() {
            let context = context.child("miner").with_attribute("index", index);
            let network = connect(&context, listen, &config);
            miners.push(pow::start(context, config, settings, network).await);
        }
        let work = async move {
            let anchor = Anchor::sign(&chain, keys.authority(1), 0, 1, vec![batch(1)]);
            let mut finals = miners[2].replica.finals();
            miners[1].replica.submit(Transaction::Anchor(anchor)).unwrap();
            let holds = |transaction: &Transaction| matches!(transaction, Transaction::Anchor(anchor) if anchor.batches == [batch(1)]);
            while !finals.recv().await.expect("runs").block.transactions().iter().any(holds) {}
            let detours = miners[0].replica.detours();
            assert!(detours.hashes > 0);
        };
        let work = context.timeout(Duration::from_secs(60), work);
        work.await.expect("four miners on one machine agree within a minute");
    });
}
