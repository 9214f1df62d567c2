//! Which leases may still act: the newest epoch of each function, and the last number under it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use voltmesh_control::Epoch;

/// Functions whose fences are remembered: 256 of at most 150 bytes are 38 KB, written anew with each command. A fence is
/// never forgotten: a lower epoch could act again.
pub(super) const MAX_FUNCTIONS: usize = 256;

/// Fences by function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Fences(BTreeMap<String, Fence>);

/// The newest lease that was seen of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fence {
    /// Term and count.
    pub epoch: (u32, u32),
    /// The last number under it.
    pub number: u64,
}

impl Fence {
    pub const fn lease_epoch(&self) -> Epoch {
        Epoch { term: self.epoch.0, count: self.epoch.1 }
    }
}

/// What a command's place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Next under the newest lease; the fence has moved to it. `raised` if its lease is newer than any seen before.
    Next { raised: bool },
    /// Under a lease that a newer one has replaced.
    Fenced { newest: Epoch },
    /// Its number, or a later one, was seen.
    Seen { last: u64 },
    /// No room for a further function.
    Full,
}

impl Fences {
    /// Moves the function's fence to this place, unless it is past it.
    pub fn pass(&mut self, function: &str, epoch: Epoch, number: u64) -> Place {
        let fence = Fence { epoch: (epoch.term, epoch.count), number };
        let Some(newest) = self.0.get_mut(function) else {
            if self.0.len() >= MAX_FUNCTIONS {
                return Place::Full;
            }
            self.0.insert(function.to_owned(), fence);
            return Place::Next { raised: true };
        };
        if epoch < newest.lease_epoch() {
            return Place::Fenced { newest: newest.lease_epoch() };
        }
        let raised = epoch > newest.lease_epoch();
        if !raised && number <= newest.number {
            return Place::Seen { last: newest.number };
        }
        *newest = fence;
        Place::Next { raised }
    }

    pub fn newest(&self, function: &str) -> Option<Epoch> {
        self.0.get(function).map(Fence::lease_epoch)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_beyond_the_bound_is_not_admitted_and_no_fence_is_forgotten() {
        let epoch = Epoch { term: 1, count: 1 };
        let mut fences = Fences::default();
        for n in 0..MAX_FUNCTIONS {
            assert_eq!(fences.pass(&format!("f{n}"), epoch, 1), Place::Next { raised: true });
        }
        assert_eq!(fences.pass("one-more", epoch, 1), Place::Full);
        assert_eq!(fences.pass("f0", epoch, 2), Place::Next { raised: false });
        assert_eq!(fences.pass("f0", Epoch { term: 0, count: 9 }, 9), Place::Fenced { newest: epoch });
        assert_eq!(fences.pass("f0", epoch, 2), Place::Seen { last: 2 });
        assert_eq!(fences.pass("f0", Epoch { term: 2, count: 0 }, 0), Place::Next { raised: true });
    }
}
