//! Room of fog nodes for functions, and what takes it.

use std::collections::BTreeMap;
use voltmesh_control::Room;

use super::Controller;
use super::state::Phase;
use crate::placement;

/// Millionths of a core that all functions of a fog node may take: one core.
const NODE_LOAD_PPM: u32 = 1_000_000;
/// Needs of a function that the policy does not know.
const UNKNOWN_LOAD_PPM: u32 = 1_000;
const UNKNOWN_MEMORY_MIB: u32 = 16;

/// Room of a fog node that is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub load_ppm: u32,
    pub memory_mib: u32,
    pub instances: u32,
}

/// Room that is taken, by fog node.
pub(super) type AllUsed = BTreeMap<String, Used>;

impl Controller {
    /// Room that is taken at each fog node.
    pub(super) fn used(&self) -> AllUsed {
        let mut used = AllUsed::new();
        for (_, function, assignment) in self.kept.all() {
            if takes_room(&assignment.phase) {
                self.add(used.entry(assignment.fog.clone()).or_default(), function);
            }
        }
        used
    }

    /// Adds what a function takes.
    pub(super) fn add(&self, used: &mut Used, function: &str) {
        let (load_ppm, memory_mib) = self.needs(function);
        used.load_ppm = used.load_ppm.saturating_add(load_ppm);
        used.memory_mib = used.memory_mib.saturating_add(memory_mib);
        used.instances += 1;
    }

    /// Load in millionths of a core and memory in MiB that a function needs.
    pub(super) fn needs(&self, function: &str) -> (u32, u32) {
        let known = self.policy.function(function);
        known.map_or((UNKNOWN_LOAD_PPM, UNKNOWN_MEMORY_MIB), |known| (known.load_ppm, known.memory_mib))
    }

    /// A node with the room that is left.
    pub(super) fn room_of(&self, fog: &str, room: &Room, taken: Used) -> placement::Node {
        placement::Node {
            name: fog.to_owned(),
            capabilities: room.capabilities.clone(),
            load_ppm: NODE_LOAD_PPM.saturating_sub(taken.load_ppm),
            memory_mib: self.settings.node_memory_mib.saturating_sub(taken.memory_mib),
            instances: room.most_instances.saturating_sub(taken.instances),
            busy_ppm: (room.load.clamp(0.0, 64.0) * 1e6) as u32,
        }
    }
}

/// Whether a function takes room at its node.
pub(super) fn takes_room(phase: &Phase) -> bool {
    !matches!(phase, Phase::Failed { .. } | Phase::Ending)
}
