//! What a block does not say itself and its explanation needs.

use std::sync::Arc;

use voltmesh_ledger::{AuthoritySet, Digest, Epoch, Header, PublicKey};

use super::Names;

/// Ancestors, leader, authorities and names around one block.
pub struct Surroundings<'a> {
    /// The last blocks before it with their digests, the parent first.
    pub ancestors: Vec<(Digest, Header)>,
    /// Who led to it.
    pub leader: Option<PublicKey>,
    /// The authorities of an epoch.
    pub authorities: &'a dyn Fn(Epoch) -> Option<Arc<AuthoritySet>>,
    /// Those that vote in it.
    pub voters: &'a dyn Fn(Epoch) -> Option<Arc<AuthoritySet>>,
    /// Names of nodes.
    pub names: &'a Names,
}
