//! The main job as a newcomer runs it: separate processes, real sockets and disks, faults, the check from the outside.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn demo(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .arg("demo")
        .args(args)
        .arg("--json")
        .output()
        .expect("the binary runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(stdout.lines().last().unwrap_or_default()).expect("one JSON object on the last line")
}

#[test]
fn a_killed_vehicle_fog_node_cloud_and_controller_lose_and_double_nothing() {
    let faults = "kill:fog-1@1s,restart:fog-1@3s,kill:edge-1@2s,restart:edge-1@3s,kill:cloud@2s,restart:cloud@3s,\
         kill:controller@2s,restart:controller@3s";
    let report = demo(&["--vehicles", "2", "--duration", "5s", "--rate", "40", "--fault", faults]);
    assert_eq!(report["sampled"], 400);
    for stage in ["spooled", "anchored", "archived", "verified"] {
        assert_eq!(report[stage], 400, "{stage}: {report}");
    }
    // A batch that is offered again after a kill is acknowledged again.
    assert!(report["received"].as_u64().unwrap() >= 400, "{report}");
    for none in ["lost", "duplicates", "quarantined"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    assert_eq!(report["tamper_detected"], true);
    assert_eq!(report["faults"].as_array().unwrap().len(), 8);
    assert!(report["anchor_latency_ms"]["p50"].as_f64().unwrap() > 0.0);
    assert!(report["bytes_per_record"].as_f64().unwrap() > 0.0);
    // The fog node that was killed forecasts charging stations again.
    assert_eq!(report["stations"]["forecasts"], 36, "{report}");
    assert!(report["stations"]["recommend_top"].as_str().is_some_and(|top| top.starts_with('S')), "{report}");
    assert!(report["stations"]["p99_us"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn seven_fog_nodes_of_which_a_committee_votes_lose_nothing_and_close_the_loop() {
    let report =
        demo(&["--fogs", "7", "--committee", "4", "--vehicles", "2", "--duration", "3s", "--rate", "40"]);
    assert_eq!(report["sampled"], 240);
    for stage in ["anchored", "archived", "verified"] {
        assert_eq!(report[stage], 240, "{stage}: {report}");
    }
    assert_eq!((&report["lost"], &report["duplicates"]), (&0.into(), &0.into()), "{report}");
    // The loop was closed: a condition, a function that a decision placed for it, a command that the battery obeys, an event.
    let seen = &report["closed_loop"];
    assert_eq!(seen["condition"], "over-temperature", "{report}");
    assert!(seen["command"].is_string() && seen["event"].is_string(), "{report}");
    let function = seen["function"].as_str().unwrap();
    assert!(seen["explained"].as_str().is_some_and(|why| why.contains(function)), "{report}");
    assert_eq!(seen["receipt"]["verifies"], true, "{report}");
    assert!(seen["signed"].as_u64().is_some_and(|signed| signed > 0), "{report}");
    assert_eq!(seen["signed"], seen["archived"], "{report}");
}

/// A supervisor's SIGTERM reaches the demo alone: what it started must not outlive it.
#[test]
fn a_demo_that_is_told_to_end_takes_its_processes_along() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().canonicalize().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .args(["demo", "--vehicles", "1", "--duration", "600s", "--dir"])
        .arg(&dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("ledger runs")));
    assert!(processes_of(&dir) >= 6, "four fog nodes, the cloud and the controller");
    let id = rustix::process::Pid::from_raw(demo.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(said.iter().any(|line| line.contains("ended by a signal")), "{said:?}");
    // They are killed with it; the kernel takes a moment to clear them away.
    let ended = Instant::now();
    while processes_of(&dir) > 0 {
        assert!(ended.elapsed() < Duration::from_secs(30), "some process goes on");
        std::thread::yield_now();
    }
}

/// Processes that run with a configuration below `dir`; one that has ended and is not yet waited for has no command line.
fn processes_of(dir: &std::path::Path) -> usize {
    let dir = dir.to_str().unwrap();
    let ids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let lines = ids.filter_map(|id| std::fs::read_to_string(format!("/proc/{id}/cmdline")).ok());
    lines.filter(|line| line.contains(dir) && !line.contains("demo")).count()
}
