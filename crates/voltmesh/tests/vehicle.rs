//! The build for vehicles: what it is made of. That it fits and starts, `.ci/run` checks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Packages that a build with these features consists of.
fn packages(features: &[&str]) -> BTreeSet<String> {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests")).join("../..");
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "voltmesh", "--edges", "normal,build", "--prefix", "none", "--locked"])
        .args(["--format", "{lib}"])
        .args(features)
        .current_dir(&root)
        // As the documented command builds, whatever the tests are built with.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names");
    text.lines().filter(|line| !line.is_empty()).map(|line| line.replace('-', "_")).collect()
}

#[test]
fn a_vehicle_carries_no_archive_no_forecasts_no_functions_and_no_other_role() {
    let absent = [
        "deltalake",
        "arrow_array",
        "parquet",
        "calamine",
        "linfa",
        "rafor",
        "wasmtime",
        "voltmesh_consensus",
        "voltmesh_stations",
        "voltmesh_function",
        "voltmesh_sdn",
        "voltmesh_fog",
        "voltmesh_cloud",
        "voltmesh_sim",
    ];
    let vehicle = packages(&["--no-default-features", "--features", "edge"]);
    let full = packages(&[]);
    for package in absent {
        assert!(!vehicle.contains(package), "a vehicle's build has {package}");
        assert!(full.contains(package), "no build has {package}: is its name still right?");
    }
    assert!(vehicle.contains("voltmesh_edge") && vehicle.contains("voltmesh_battery"), "{vehicle:?}");
}
