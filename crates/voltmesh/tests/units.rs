//! The units of `deploy/systemd` leave an attacker who has taken a role over as little as systemd can.

#![cfg(feature = "full")]

use std::path::Path;
use std::process::Command;

/// Exposure that a unit may have, in tenths; 100 is a service without any setting.
const MOST: u32 = 20;

#[test]
fn every_unit_is_exposed_as_little_as_promised() {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../deploy/systemd");
    let analyze = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).output();
    // Version 250 can judge a file, without a running manager.
    let version = analyze(&["--version"]).map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version: Option<u32> = version
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse().ok())
        .filter(|version| *version >= 250);
    if version.is_none() {
        eprintln!("skipped: no systemd-analyze of version 250 or later on this machine");
        return;
    }
    for role in ["edge", "fog", "cloud", "controller"] {
        let unit = folder.join(format!("voltmesh-{role}.service"));
        let threshold = format!("--threshold={MOST}");
        let output =
            analyze(&["security", "--offline=true", "--no-pager", &threshold, unit.to_str().unwrap()])
                .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains("Overall exposure level"),
            "{role}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.status.success(),
            "{role} is exposed more than {} of 10: {text}",
            f64::from(MOST) / 10.0
        );
    }
}

/// What a role does at its start with the user's rights: a unit that forbids it would never come up.
#[test]
fn every_unit_allows_what_its_role_needs() {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../deploy/systemd");
    for (role, needs) in [
        ("edge", &["AF_CAN", "StateDirectory=voltmesh/edge"][..]),
        (
            "fog",
            &[
                "LimitNOFILE=20000",
                "StateDirectory=voltmesh/fog",
                "SystemCallFilter=setpriority",
                // Functions are compiled where they run.
                "MemoryDenyWriteExecute=no",
            ],
        ),
        ("cloud", &["LimitNOFILE=20000", "StateDirectory=voltmesh/cloud", "SystemCallFilter=setpriority"]),
        (
            "controller",
            &["LimitNOFILE=20000", "StateDirectory=voltmesh/controller", "SystemCallFilter=setpriority"],
        ),
    ] {
        let unit = std::fs::read_to_string(folder.join(format!("voltmesh-{role}.service"))).unwrap();
        for need in needs.iter().chain(&["AF_INET AF_INET6", "SystemCallFilter=@system-service"]) {
            assert!(unit.contains(need), "{role}: {need}");
        }
    }
}
