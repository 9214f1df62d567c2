//! A compiled release, and the limits of its instances.

use crate::{Manifest, bindings::FunctionPre};
use std::fmt;
use voltmesh_telemetry::Digest;
use wasmtime::{StoreLimits, StoreLimitsBuilder};

/// Ticks that a call may last: 1 s, five times what the most fuel takes. It ends what fuel does not count, such as a
/// machine that stands still.
pub(super) const DEADLINE_TICKS: u64 = 100;

/// Core instances, and tables, of one component: one is usual, an interpreter has an adapter or two beside.
pub(super) const CORES: u32 = 3;

/// Most elements of a table: the indirectly called functions of an interpreter.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// Release that was compiled on this node and proved to be a function.
pub struct Component {
    pub(super) pre: FunctionPre<StoreLimits>,
    pub(crate) manifest: Manifest,
    pub(crate) digest: Digest,
    pub(crate) validator: jsonschema::Validator,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.manifest.name, self.manifest.release, self.digest)
    }
}

impl Component {
    /// What the release says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the component.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn limits(&self) -> StoreLimits {
        StoreLimitsBuilder::new()
            .memory_size((self.manifest.memory_mib as usize) << 20)
            .table_elements(TABLE_ELEMENTS)
            .instances(CORES as usize)
            .tables(CORES as usize)
            .memories(1)
            .trap_on_grow_failure(true)
            .build()
    }
}
