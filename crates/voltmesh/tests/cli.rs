//! The command line as a person or a script meets it.

use std::path::Path;
use std::process::{Command, Output};

fn voltmesh(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must work; returns its stdout.
fn works(folder: &Path, args: &[&str]) -> String {
    let output = voltmesh(folder, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs a command that must fail with `code`; returns its stderr.
fn fails(folder: &Path, args: &[&str], code: i32) -> String {
    let output = voltmesh(folder, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn help_explains_every_command_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let help = works(folder.path(), &["--help"]);
    for command in [
        "demo", "edge", "fog", "cloud", "pki", "chain", "registry", "prove", "verify", "query", "sim",
        "bench",
    ] {
        assert!(help.contains(command), "{command} is not in the help");
        works(folder.path(), &[command, "--help"]);
    }
    assert!(works(folder.path(), &["demo", "--help"]).contains("kill:fog-1@5s"));
    for command in ["status", "block", "authorities", "scores", "evidence", "follow", "trust"] {
        works(folder.path(), &["chain", command, "--help"]);
    }
    for command in ["admit", "remove", "rotate", "pardon"] {
        let help = works(folder.path(), &["registry", &format!("{command}-authority"), "--help"]);
        assert!(help.contains("Example"), "{help}");
    }
}

#[test]
fn a_pki_is_made_used_and_its_keys_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| works(folder.path(), args);
    run(&["pki", "init"]);
    run(&["pki", "issue", "fog:fog-1", "--host", "fog-1.example"]);
    run(&["pki", "issue", "edge:car-1", "--days", "7"]);
    run(&["pki", "renew", "edge:car-1"]);
    run(&["pki", "revoke", "edge:car-1"]);
    let shown: serde_json::Value = serde_json::from_str(&run(&["pki", "show", "--json"])).unwrap();
    let states: Vec<&str> =
        shown["certificates"].as_array().unwrap().iter().map(|c| c["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["valid", "revoked", "revoked"]);
    for key in ["ca.key", "fog-fog-1/tls.key", "fog-fog-1/sign.key"] {
        let mode = std::fs::metadata(folder.path().join("pki").join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    assert!(fails(folder.path(), &["pki", "init"], 1).contains("error:"));
    assert!(fails(folder.path(), &["pki", "issue", "ghost:x"], 1).contains("ghost"));
}

#[test]
fn every_role_states_its_defaults_and_refuses_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    for role in ["edge", "fog", "cloud"] {
        let defaults = works(folder.path(), &[role, "--defaults"]);
        assert!(defaults.contains("credentials"), "{role}: {defaults}");
        std::fs::write(folder.path().join("wrong.toml"), format!("colour = 1\n{defaults}")).unwrap();
        let error = fails(folder.path(), &[role, "--config", "wrong.toml"], 1);
        assert!(error.contains("colour"), "{role}: {error}");
        fails(folder.path(), &[role], 2);
        assert!(fails(folder.path(), &[role, "--config", "absent.toml"], 1).contains("absent.toml"));
    }
}

#[test]
fn the_demo_refuses_a_schedule_that_cannot_end() {
    let folder = tempfile::tempdir().unwrap();
    assert!(fails(folder.path(), &["demo", "--fault", "kill:edge-1@1s"], 1).contains("restart:edge-1"));
    assert!(fails(folder.path(), &["demo", "--fault", "burn:fog-1@1s"], 2).contains("kill, restart"));
}

#[test]
fn a_file_that_is_no_proof_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.cose"), b"not a proof").unwrap();
    std::fs::write(folder.path().join("trust.toml"), b"chain = 1").unwrap();
    assert!(fails(folder.path(), &["verify", "r.cose", "--trust", "trust.toml"], 1).contains("trust.toml"));
}
