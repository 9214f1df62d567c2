//! Bounds of a node's functions.

/// Most instances of a node: all of them must fit one message of 1 MiB, with at most 340 bytes each.
pub const MAX_INSTANCES: u32 = 3_000;

/// Most bytes of a configuration's JSON.
pub const MAX_CONFIGURATION_BYTES: usize = 64 << 10;
