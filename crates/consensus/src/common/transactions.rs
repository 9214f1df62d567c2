//! The task that spreads transactions: this node's until they are final, and takes others'.

use crate::{
    PublicKey,
    common::core::{ReplicaCore, bump},
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_macros::select_loop;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Spawner};
use std::{sync::Arc, time::Duration};
use tracing::debug;
use voltmesh_ledger::{AuthoritySet, Transaction};

/// How often offers that were not made final are looked for.
const OFFER_INTERVAL: Duration = Duration::from_millis(250);

/// Offers this node's transactions until they are final, first to those that propose blocks, then to all; takes others'.
pub(crate) async fn run<E, S, R>(context: E, shared: Arc<ReplicaCore>, mut sender: S, mut receiver: R)
where
    E: Clock + Spawner,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let mut pooled = shared.pooled.subscribe();
    let mut tip = shared.tip.subscribe();
    let mut offers = Offers { shared: shared.clone(), voters: None };
    let mut next = context.current() + OFFER_INTERVAL;
    select_loop! {
        context,
        on_stopped => {},
        Ok((from, bytes)) = receiver.recv() else break => {
            let Ok(transaction) = Transaction::decode(bytes) else {
                debug!(%from, "malformed transaction");
                continue;
            };
            let state = shared.finalized();
            let result = shared.pool.lock().insert(transaction, &state, shared.now_ms(), false);
            match result {
                Ok(true) => bump(&shared.pooled),
                Ok(false) => {}
                Err(error) => debug!(%from, %error, "transaction of a peer not taken"),
            }
        },
        Ok(()) = pooled.changed() else break => offers.send(&mut sender),
        Ok(()) = tip.changed() else break => offers.send(&mut sender),
        _ = context.sleep_until(next) => {
            next = context.current() + OFFER_INTERVAL;
            offers.send(&mut sender);
        },
    }
}

/// Offers of this node, with the voters that they went to.
struct Offers {
    shared: Arc<ReplicaCore>,
    voters: Option<Arc<AuthoritySet>>,
}

impl Offers {
    /// Sends what is due. Only voters propose, so they are enough at first; whatever is not final after a second goes to
    /// all, so that f + 1 authorities can call it overdue.
    fn send<S: Sender<PublicKey = PublicKey>>(&mut self, sender: &mut S) {
        let now_ms = self.shared.now_ms();
        let voters = self.shared.voters_of(self.shared.finalized().next_epoch().get());
        let mut pool = self.shared.pool.lock();
        if self.voters.is_some() && self.voters != voters {
            pool.offer_anew(now_ms);
        }
        let due = pool.due(now_ms);
        drop(pool);
        for offer in due {
            let to = match &voters {
                Some(voters) if !offer.repeated => Recipients::Some(voters.keys().cloned().collect()),
                _ => Recipients::All,
            };
            let _ = sender.send(to, offer.transaction.encode(), false);
        }
        self.voters = voters;
    }
}
