//! Options under which made-up files are read.

use voltmesh_recording::Options;

/// Nothing stated, at a fixed time.
pub fn any() -> Options {
    Options::new(1_790_000_000_000)
}

/// One quantity mapped.
pub fn map(mapping: &str) -> Options {
    Options { mappings: vec![mapping.parse().unwrap()], ..any() }
}

/// The form of times stated.
pub fn format(time_format: &str) -> Options {
    let mut options = any();
    options.table.time_format = Some(time_format.into());
    options
}
