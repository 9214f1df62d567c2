//! What a minute of a 96-cell pack takes. `examples/sizes.rs` prints the whole table.

#[path = "../examples/drive/mod.rs"]
mod drive;

use voltmesh_telemetry::encoding_sizes;

#[test]
fn a_minute_is_small() {
    let sizes = encoding_sizes(&drive::synthetic(600), 60).expect("valid records");
    let each = |bytes| sizes.per_record(bytes);
    assert!(each(sizes.batches) < 42.0, "{sizes:?}");
    assert!(each(sizes.json) > 25.0 * each(sizes.batches), "{sizes:?}");
    assert!(each(sizes.protobuf_zstd) > 2.0 * each(sizes.batches), "{sizes:?}");
}
