//! Encoding and compression of the columns in the data files.
//!
//! Measured with `voltmesh bench archive` (docs/results.md): what is left after it is what the vehicles' signed bytes, their
//! digests and the cells' voltages hold of information that no general compression finds.

use crate::delta::{
    ArchiveError,
    rows::schema::{BLOCK, EVIDENCE, SIGNER},
};
use arrow::datatypes::SchemaRef;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};

/// Level of Zstandard for the small file of a commit, which someone waits for.
pub(super) const COMMITTED: i32 = 3;
/// Level for files that merging makes, which stay: some 3 % smaller for twice the time, 2 µs a record; higher ones cost
/// four times that for less than 1 %.
pub(super) const MERGED: i32 = 9;

/// Rows in a row group: 96 cells × 65,536 rows are about 25 MB decoded, and one vehicle's rows are few groups.
pub(super) const GROUP_ROWS: usize = 65_536;
/// A page of signed bytes or of paths in the log: in order of their blocks, batches repeat their vehicle's names after a
/// round of the fleet, and a block's hashes at once. As much as [`MERGED`] looks back.
const PAGE: usize = 4 << 20;
/// Distinct values of one column in a row group: what 10,000 blocks or 20,000 vehicles share of their evidence. Past it,
/// values are stored as they come.
const DICTIONARY: usize = 8 << 20;

/// Zstandard, and the encoding that suits each column.
pub(super) fn writer_properties(schema: &SchemaRef, level: i32) -> Result<WriterProperties, ArchiveError> {
    let level = ZstdLevel::try_new(level).map_err(ArchiveError::store)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    let has = |column: &&str| schema.index_of(column).is_ok();
    // Small counters as deltas, which dictionaries would double. For the cells see [`super::cells_column`].
    for column in ["number", "time"].into_iter().filter(has) {
        let path = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    // Nearly every value is another one.
    for column in ["pack_voltage_v", "pack_current_a", "wire", EVIDENCE, "bytes"].into_iter().filter(has) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    for column in ["wire", EVIDENCE].into_iter().filter(has) {
        properties = properties.set_column_data_page_size_limit(ColumnPath::from(column), PAGE);
    }
    for column in [BLOCK, SIGNER, "opening"].into_iter().filter(has) {
        properties = properties.set_column_dictionary_page_size_limit(ColumnPath::from(column), DICTIONARY);
    }
    Ok(properties.build())
}
