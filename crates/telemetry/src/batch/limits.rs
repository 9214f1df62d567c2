//! Limits on a batch, before and after decompression.

/// Most bytes of a batch on the wire: 1 MiB.
pub const MAX_WIRE_BYTES: usize = 1 << 20;

/// Most bytes of a batch's columns after decompression: 8 MiB.
pub const MAX_COLUMN_BYTES: usize = 8 << 20;

/// Most bytes of a report beside the records, after decompression: 256 KiB.
pub const MAX_REPORT_BYTES: usize = 256 << 10;

/// Most records in a batch: more than an hour at 1 Hz.
pub const MAX_RECORDS: usize = 4096;

/// Most cell voltages and temperatures in a batch, all records together: 4,096 records of 256, 2 MiB decoded. Without it
/// a batch of 509 bytes expands to 2.6 million.
pub const MAX_VALUES: usize = 1 << 20;
