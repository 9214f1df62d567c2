//! How far each controller knows the events of this node: kept on disk, so that after a restart none is told again without need.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use voltmesh_identity::write_private;

/// File in the node's folder.
const FILE: &str = "events.json";

/// Most bytes of it: two addresses and numbers.
const MAX_BYTES: u64 = 4_096;

/// Positions in the journal below which all events are known, by the controller's address.
#[derive(Debug)]
pub struct Cursors {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<String, u64>,
    saved: BTreeMap<String, u64>,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    controllers: BTreeMap<String, u64>,
}

impl Cursors {
    /// What an earlier process kept, for these addresses; none beyond the journal's end. What cannot be read counts as
    /// nothing: events are told again, and whoever knows one knows it by its number.
    pub fn open(data: &Path, addresses: &[String], end: u64) -> Self {
        let path = data.join(FILE);
        let read = || -> Option<File> {
            let size = std::fs::metadata(&path).ok()?.len();
            (size <= MAX_BYTES)
                .then(|| std::fs::read(&path).ok())?
                .and_then(|json| serde_json::from_slice(&json).ok())
        };
        let kept = read().map(|file| file.controllers).unwrap_or_default();
        let of =
            |address: &String| (address.clone(), kept.get(address).copied().unwrap_or_default().min(end));
        let known: BTreeMap<_, _> = addresses.iter().map(of).collect();
        Self { path, state: Mutex::new(State { saved: known.clone(), known }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a controller knows them.
    pub fn of(&self, address: &str) -> u64 {
        self.lock().known.get(address).copied().unwrap_or_default()
    }

    /// A controller knows events below this position; the position below which some controller knows all.
    pub fn advance(&self, address: &str, below: u64) -> u64 {
        let mut state = self.lock();
        if let Some(known) = state.known.get_mut(address) {
            *known = (*known).max(below);
        }
        state.known.values().max().copied().unwrap_or_default()
    }

    /// The position below which some controller knows all events.
    pub fn known(&self) -> u64 {
        self.lock().known.values().max().copied().unwrap_or_default()
    }

    /// Writes what has changed.
    pub fn save(&self) {
        let known = {
            let state = self.lock();
            if state.known == state.saved {
                return;
            }
            state.known.clone()
        };
        let file = File { controllers: known.clone() };
        let written = serde_json::to_vec(&file)
            .map_err(|error| error.to_string())
            .and_then(|json| write_private(&self.path, &json).map_err(|error| error.to_string()));
        match written {
            Ok(()) => self.lock().saved = known,
            Err(error) => {
                tracing::error!(%error, file = %self.path.display(), "how far events are told is not on disk")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_goes_on_where_each_controller_was() {
        let folder = tempfile::tempdir().unwrap();
        let addresses = ["a:1".to_owned(), "b:1".to_owned()];
        let cursors = Cursors::open(folder.path(), &addresses, 100);
        assert_eq!(
            (cursors.advance("a:1", 7), cursors.advance("b:1", 3), cursors.advance("c:1", 99)),
            (7, 7, 7)
        );
        cursors.save();
        let again = Cursors::open(folder.path(), &addresses, 100);
        assert_eq!((again.of("a:1"), again.of("b:1"), again.of("c:1")), (7, 3, 0));
        assert_eq!(Cursors::open(folder.path(), &addresses, 5).of("a:1"), 5, "the journal was lost");
        std::fs::write(folder.path().join(FILE), b"rubbish").unwrap();
        assert_eq!(Cursors::open(folder.path(), &addresses, 100).known(), 0);
    }
}
