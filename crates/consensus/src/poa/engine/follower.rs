//! Follows an epoch without a vote: checks finalizations, and hands them to whoever fetches and stores the blocks.
//!
//! A node that does not vote needs no engine: no votes reach it, it proposes nothing, and so it has nothing to write down
//! before it speaks. What it misses, marshal fetches once a later finalization names it.

use crate::PublicKey;
use commonware_consensus::{
    Epochable as _, Reporter, Viewable as _,
    simplex::types::{Activity, Certificate},
};
use commonware_cryptography::certificate::Verifier as _;
use commonware_p2p::{Blocker, Receiver, utils::codec::WrappedReceiver};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Spawner};
use rand::rand_core::CryptoRng;
use std::sync::Arc;
use voltmesh_ledger::{Digest, Scheme};

/// See the module's first line. `epoch` is that of `scheme`; peers that send what no honest one would are blocked.
pub(crate) async fn run<E, R, B, A>(
    mut context: E,
    epoch: u64,
    scheme: Arc<Scheme>,
    certificates: R,
    mut blocker: B,
    mut reporter: A,
) where
    E: Clock + Spawner + CryptoRng,
    R: Receiver<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    A: Reporter<Activity = Activity<Scheme, Digest>>,
{
    let mut certificates: WrappedReceiver<R, Certificate<Scheme, Digest>> =
        WrappedReceiver::new(scheme.certificate_codec_config(), certificates);
    let mut newest = None;
    while let Ok((sender, message)) = certificates.recv().await {
        let Ok(certificate) = message else {
            commonware_p2p::block!(blocker, sender, "malformed certificate");
            continue;
        };
        if certificate.epoch().get() != epoch {
            commonware_p2p::block!(blocker, sender, "certificate of another epoch");
            continue;
        }
        let Certificate::Finalization(finalization) = certificate else { continue };
        // Each comes from f + 1 voters; the first is checked.
        if newest.is_some_and(|newest| finalization.view() <= newest) {
            continue;
        }
        if !finalization.verify(&mut context, scheme.as_ref(), &Sequential) {
            commonware_p2p::block!(blocker, sender, view = %finalization.view(), "invalid certificate");
            continue;
        }
        newest = Some(finalization.view());
        reporter.report(Activity::Finalization(finalization));
    }
}
