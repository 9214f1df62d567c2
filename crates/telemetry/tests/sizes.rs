//! Size of a minute of a 96-cell pack. `examples/sizes.rs` prints the whole table.

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

/// Unknown values cost at most 3 % more; what they replace is not sent.
#[test]
fn unknown_values_cost_little() {
    for batch in [10, 60, 600] {
        let each = |records: &[voltmesh_telemetry::Record]| {
            let sizes = encoding_sizes(records, batch).expect("valid records");
            sizes.per_record(sizes.batches)
        };
        let plain = each(&drive::synthetic(600));
        let unknown = each(&drive::with_unknown(drive::synthetic(600)));
        let more = each(&drive::with_everything(drive::synthetic(600)));
        assert!(
            unknown < 1.03 * plain,
            "{batch}: {unknown:.2} bytes a record, {plain:.2} with all values known"
        );
        // Eight quantities more, six of them noisy.
        assert!(
            more < plain + 8.0 + 120.0 / batch as f64,
            "{batch}: {more:.2} bytes a record, {plain:.2} without"
        );
    }
}
