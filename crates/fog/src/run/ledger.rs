//! The ledger's node: started from the configuration, and followed for the loop.

use std::{path::Path, time::Duration};

use commonware_cryptography::Signer as _;
use commonware_p2p::Receiver as _;
use commonware_runtime::{Clock as _, Supervisor as _, tokio::Context};
use tokio::sync::mpsc;
use voltmesh_consensus::{
    AddressBook, Config as LedgerConfig, Handle, Node,
    network::{self, SocketReceiver},
    sockets,
};
use voltmesh_control::Handovers;
use voltmesh_ledger::{Genesis, Height, MAX_GENESIS_BYTES, public_key_from_hex};

use super::{alone::Alone, clock::now};
use crate::{
    Config, Error,
    ingest::{Input, Settings},
};

/// Between two looks at peers, catching up and the disk's free space.
const LOOK: Duration = Duration::from_millis(250);

/// Reads the chain's parameters.
pub fn read_genesis(path: &Path) -> Result<Genesis, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    if text.len() > MAX_GENESIS_BYTES {
        return Err(Error::config(format!("{}: more than {MAX_GENESIS_BYTES} bytes", path.display())));
    }
    Genesis::from_toml(&text).map_err(|error| Error::config(format!("{}: {error}", path.display())))
}

/// Starts this node's part of the ledger; second copies travel beside it.
pub async fn start(
    context: &Context,
    config: &Config,
    genesis: &Genesis,
    settings: &Settings,
) -> Result<(Node, network::Copies<Context>), Error> {
    let mut addresses = AddressBook::new();
    for peer in &config.ledger.peers {
        let key = public_key_from_hex(&peer.key)
            .map_err(|error| Error::config(format!("ledger.peers: key {}: {error}", peer.key)))?;
        let address = network::parse_address(&peer.address)
            .ok_or_else(|| Error::config(format!("ledger.peers: {:?} is no host:port", peer.address)))?;
        addresses.insert(key, address);
    }
    addresses.remove(&settings.key.public_key());
    let mut ledger = LedgerConfig::new(settings.key.clone(), genesis.clone());
    ledger.addresses = addresses;
    ledger.block_interval = Duration::from_millis(config.ledger.block_ms);
    ledger.idle_interval = Duration::from_millis(config.ledger.idle_block_ms);
    ledger.snapshot_interval = config.ledger.snapshot_blocks;
    ledger.history_blocks = config.ledger.history();
    ledger.checkpoint = config.ledger.checkpoint.clone();
    ledger.repair = config.ledger.repair;
    ledger.leader_timeout = ledger.idle_interval + Duration::from_millis(800);
    // The network beneath would end the process without saying which address it is about.
    let address = config.listen.p2p;
    let free = std::net::TcpListener::bind(address);
    drop(free.map_err(|source| Error::Listen { what: "other authorities (listen.p2p)", address, source })?);
    let any = config.ledger.any_source_address;
    Ok(sockets::start(context.child("consensus"), config.listen.p2p, any, ledger).await?)
}

/// Tells the loop what happens on the ledger: final blocks, how far it is, hand-overs, peers, and the disk's free space.
pub fn follow(context: &Context, ledger: &Handle, from: Height, inputs: &mpsc::Sender<Input>) {
    let mut blocks = ledger.subscribe(from);
    let finalised = inputs.clone();
    tokio::spawn(async move {
        while let Some(finalized) = blocks.next().await {
            if finalised.send(Input::Finalized(Box::new(finalized))).await.is_err() {
                return;
            }
        }
    });
    let (ledger, inputs, context) = (ledger.clone(), inputs.clone(), context.child("look"));
    tokio::spawn(async move {
        let (mut epoch, mut caught_up, mut alone) = (None, false, Alone::default());
        loop {
            caught_up |= ledger.has_caught_up();
            let state = ledger.state();
            let mut all = vec![Input::Ledger { state: state.clone(), caught_up }];
            let peers: Vec<_> = ledger.peers().into_iter().map(|peer| peer.key).collect();
            if let Some(seconds) = alone.look(now(&context), peers.len()) {
                tracing::warn!(
                    "no other authority of the ledger has been heard for {seconds} s: are they running, are their addresses and \
                     keys those of [[ledger.peers]], and may they connect to listen.p2p?"
                );
            }
            all.push(Input::Peers(peers));
            if epoch != Some(state.epoch()) {
                epoch = Some(state.epoch());
                let items =
                    ledger.handovers().await.iter().map(|handover| handover.to_bytes()).collect::<Vec<_>>();
                if !items.is_empty() {
                    all.push(Input::Handovers(Handovers { items }.encode().into()));
                }
            }
            for input in all {
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
            context.sleep(LOOK).await;
        }
    });
}

/// Hands over what other nodes say of second copies.
pub async fn take_copies(mut offered: SocketReceiver, inputs: mpsc::Sender<Input>) {
    while let Ok((from, message)) = offered.recv().await {
        let input = Input::Copy { from, message: message.as_ref().to_vec().into() };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}
