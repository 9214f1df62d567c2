//! Four miners that hash, over real sockets on loopback, in one process.

use commonware_cryptography::Signer as _;
use commonware_p2p::Address;
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _, tokio};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use voltmesh_consensus::{
    Config, network,
    pow::{self, Settings, Work},
    testing::batch,
};
use voltmesh_ledger::{Anchor, Transaction, testing};

/// Ports that were free a moment ago.
fn free_addresses(n: usize) -> Vec<SocketAddr> {
    let listeners: Vec<_> =
        (0..n).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("bound")).collect()
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
        let genesis = keys.genesis().clone();
        let chain = genesis.digest();
        let addresses = free_addresses(4);
        let book: BTreeMap<_, _> = (0..4)
            .map(|index| (keys.authority(index).public_key(), Address::Symmetric(addresses[index])))
            .collect();
        let mut miners = Vec::new();
        for (index, listen) in addresses.iter().enumerate() {
            let context = context.child("miner").with_attribute("index", index);
            let private_key = keys.authority(index).clone();
            let mut id = [0; 32];
            id.copy_from_slice(chain.as_ref());
            let sockets = network::Config {
                private_key: private_key.clone(),
                chain: id,
                listen: *listen,
                any_source_address: false,
            };
            let (network, _copies, _task) = network::start(context.child("network"), sockets);
            let mut config = Config::new(private_key, genesis.clone());
            config.addresses = book.clone();
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
