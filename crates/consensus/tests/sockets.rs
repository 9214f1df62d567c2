//! Four nodes over real sockets on loopback, in one process.

use commonware_cryptography::Signer as _;
use commonware_p2p::Address;
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _, tokio};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use voltmesh_consensus::{Config, Node, network, testing::batch};
use voltmesh_ledger::{Anchor, Height, Transaction, testing};

/// Ports that were free a moment ago.
fn free_addresses(n: usize) -> Vec<SocketAddr> {
    let listeners: Vec<_> =
        (0..n).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("bound")).collect()
}

#[test]
fn four_nodes_agree_over_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let runner =
        tokio::Runner::new(tokio::Config::new().with_worker_threads(2).with_storage_directory(folder.path()));
    runner.start(|context| async move {
        let keys = testing::Network::with_epochs(4, 5);
        let genesis = keys.genesis().clone();
        let chain = genesis.digest();
        let addresses = free_addresses(4);
        let book: BTreeMap<_, _> = (0..4)
            .map(|index| (keys.authority(index).public_key(), Address::Symmetric(addresses[index])))
            .collect();
        let mut nodes = Vec::new();
        for (index, listen) in addresses.iter().enumerate() {
            let context = context.child("node").with_attribute("index", index);
            let private_key = keys.authority(index).clone();
            let mut id = [0; 32];
            id.copy_from_slice(chain.as_ref());
            let settings = network::Config {
                private_key: private_key.clone(),
                chain: id,
                listen: *listen,
                any_source_address: false,
            };
            let (network, _copies, _task) = network::start(context.child("network"), settings);
            let mut config = Config::new(private_key, genesis.clone());
            config.addresses = book.clone();
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
