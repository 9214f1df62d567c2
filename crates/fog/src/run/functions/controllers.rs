//! Whose leases count: keys of controllers that operators have admitted on the ledger, and those of the configuration that they have
//! not removed there. Kept on disk, so that after a restart functions go on before the ledger is heard.

use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use voltmesh_identity::write_private;
use voltmesh_ledger::{State, verifying_key};

/// File in the node's folder.
const FILE: &str = "controllers.json";

/// Most bytes of it: 256 keys in hexadecimal.
const MAX_BYTES: u64 = 64 * 1024;

/// What the ledger said last of controllers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    admitted: Vec<Key>,
    removed: Vec<Key>,
    term: u32,
}

/// Public key in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Key(VerifyingKey);

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|error| error.to_string())?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|error| error.to_string())
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        hex::encode(key.0.to_bytes())
    }
}

/// Controllers as the configuration and the ledger name them.
#[derive(Debug)]
pub struct Controllers {
    path: PathBuf,
    configured: Vec<VerifyingKey>,
    ledger: Ledger,
}

impl Controllers {
    /// What an earlier process kept, beside the configured keys. What cannot be read counts as nothing until the ledger is heard.
    pub fn open(data: &Path, configured: Vec<VerifyingKey>) -> Self {
        let path = data.join(FILE);
        let read = || -> Option<Ledger> {
            let size = std::fs::metadata(&path).ok()?.len();
            let json = (size <= MAX_BYTES).then(|| std::fs::read(&path).ok()).flatten()?;
            serde_json::from_slice(&json).ok()
        };
        let ledger = read().unwrap_or_default();
        Self { path, configured, ledger }
    }

    /// Whose leases count.
    pub fn keys(&self) -> Vec<VerifyingKey> {
        let Ledger { admitted, removed, .. } = &self.ledger;
        let mut keys = self.configured.clone();
        keys.retain(|key| !removed.iter().any(|removed| removed.0 == *key));
        for Key(key) in admitted {
            if !keys.contains(key) {
                keys.push(*key);
            }
        }
        keys
    }

    /// The term of the ledger.
    pub fn term(&self) -> u32 {
        self.ledger.term
    }

    /// The term of the ledger, while it admits controllers: no higher one is anybody's.
    pub fn given_term(&self) -> Option<u32> {
        (!self.ledger.admitted.is_empty()).then_some(self.ledger.term)
    }

    /// Takes over what the ledger says; true if that is news.
    pub fn hear(&mut self, state: &State) -> bool {
        let (mut admitted, mut removed) = (Vec::new(), Vec::new());
        for controller in state.controllers() {
            let Ok(key) = verifying_key(&controller.key) else { continue };
            if controller.removed_at.is_some() { removed.push(Key(key)) } else { admitted.push(Key(key)) }
        }
        let heard = Ledger { admitted, removed, term: state.term().term };
        let news = heard != self.ledger;
        self.ledger = heard;
        news
    }

    /// Writes what was heard.
    pub fn save(&self) {
        let written = serde_json::to_vec(&self.ledger)
            .map_err(|error| error.to_string())
            .and_then(|json| write_private(&self.path, &json).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::error!(%error, file = %self.path.display(), "the ledger's controllers are not on disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;
    use voltmesh_ledger::{
        Action,
        testing::{Chain, controller},
    };

    #[test]
    fn admitted_controllers_are_believed_and_removed_ones_are_not_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let of = |n| verifying_key(&controller(n).public_key()).unwrap();
        let configured = vec![of(0), of(1)];
        let mut controllers = Controllers::open(folder.path(), configured.clone());
        let mut chain = Chain::new(4);
        assert!(!controllers.hear(&chain.state), "a chain without controllers is no news");
        assert_eq!(controllers.keys(), configured);
        let mut decide = |actions| {
            let decision = chain.network.registry(chain.state.nonce(), actions);
            chain.push(vec![decision]);
            assert!(controllers.hear(&chain.state));
            controllers.save();
            let again = Controllers::open(folder.path(), configured.clone());
            assert_eq!((again.keys(), again.term()), (controllers.keys(), controllers.term()));
            controllers.keys()
        };
        let key = |n| controller(n).public_key();
        let admit = |n| Action::AdmitController { key: key(n) };
        assert_eq!(decide(vec![admit(1), admit(2)]), [of(0), of(1), of(2)]);
        let remove = vec![Action::RemoveController { key: key(1) }, Action::RemoveController { key: key(2) }];
        assert_eq!(decide(remove), [of(0)]);
        std::fs::write(folder.path().join(FILE), b"rubbish").unwrap();
        assert_eq!(Controllers::open(folder.path(), configured.clone()).keys(), configured);
    }
}
