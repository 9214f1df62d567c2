//! How many readings nodes answer while they agree.
//!
//! A reading is what a verifier asks a node for: its newest final state, and out of it the proof that a vehicle's key is
//! in the registry. Readers ask the nodes in turn, as fast as they can, on threads of their own: on a machine that is
//! busy with the agreement, what is left decides.

use crate::{
    common::replica::Replica,
    harness::{Error, Plan},
};
use commonware_runtime::Clock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use voltmesh_ledger::{Action, Commitment, commitment, testing};

/// Vehicles in the registry: as many as one transaction enrols, so paths have eight steps.
const VEHICLES: u64 = 256;

/// Longest wait until the vehicles are enrolled at every node.
const ENROL: Duration = Duration::from_secs(60);

/// Readers that run until this is dropped.
pub(super) struct Readers {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Readers {
    /// Enrols vehicles, then starts so many readers.
    pub async fn start(
        plan: &Plan,
        clock: &impl Clock,
        chain: &testing::Network,
        replicas: Vec<Arc<dyn Replica>>,
    ) -> Result<Self, Error> {
        let vehicles: Vec<Commitment> =
            (0..VEHICLES).map(|n| commitment(&format!("car-{n}"), &[n as u8; 32], &[7; 32])).collect();
        let actions = vehicles.iter().map(|vehicle| Action::EnrolVehicle { commitment: *vehicle });
        let decision = chain.registry(0, actions.collect());
        let still = |node| Error::Still { protocol: plan.protocol, node, seconds: ENROL.as_secs() };
        if let Some(first) = replicas.first()
            && first.submit(decision).is_err()
        {
            return Err(still(0));
        }
        let last = clock.current() + ENROL;
        for (node, replica) in replicas.iter().enumerate() {
            while replica.state().prove(&vehicles[0]).is_none() {
                if clock.current() >= last {
                    return Err(still(node));
                }
                clock.sleep(Duration::from_millis(50)).await;
            }
        }
        let this = Self { count: Arc::default(), stop: Arc::default() };
        for reader in 0..plan.readers {
            let (count, stop) = (this.count.clone(), this.stop.clone());
            let (vehicles, replicas) = (vehicles.clone(), replicas.clone());
            std::thread::spawn(move || {
                let mut turn = reader;
                while !stop.load(Ordering::Relaxed) {
                    let state = replicas[turn % replicas.len()].state();
                    let proof = state.prove(&vehicles[turn % vehicles.len()]);
                    assert!(
                        std::hint::black_box(proof).is_some(),
                        "an enrolled vehicle is in every final state"
                    );
                    count.fetch_add(1, Ordering::Relaxed);
                    turn += 1;
                }
            });
        }
        Ok(this)
    }

    /// Readings answered so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
