//! The command line as a person or a script meets it.

#![cfg(feature = "full")]

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
        "demo", "inspect", "edge", "fog", "cloud", "pki", "chain", "registry", "prove", "verify", "archive",
        "audit", "query", "sim", "bench", "twin",
    ] {
        assert!(help.contains(command), "{command} is not in the help");
        works(folder.path(), &[command, "--help"]);
    }
    assert!(works(folder.path(), &["demo", "--help"]).contains("kill:fog-1@5s"));
    for command in
        ["status", "block", "authorities", "scores", "evidence", "follow", "trust", "leaves", "statement"]
    {
        works(folder.path(), &["chain", command, "--help"]);
    }
    for command in ["admit", "remove", "rotate", "pardon"] {
        let help = works(folder.path(), &["registry", &format!("{command}-authority"), "--help"]);
        assert!(help.contains("Example"), "{help}");
    }
    for command in ["check", "dedup"] {
        assert!(works(folder.path(), &["archive", command, "--help"]).contains("Example"));
    }
    let help = works(folder.path(), &["registry", "replace-committee", "--help"]);
    assert!(help.contains("Example") && help.contains("--voter"), "{help}");
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
fn an_id_in_two_roles_is_refused_where_the_ca_says_so_and_a_list_is_signed_anew() {
    let folder = tempfile::tempdir().unwrap();
    works(folder.path(), &["pki", "init", "--one-role"]);
    works(folder.path(), &["pki", "issue", "edge:car-1"]);
    assert!(fails(folder.path(), &["pki", "issue", "client:car-1"], 1).contains("edge:car-1"));
    works(folder.path(), &["pki", "renew-crl"]);
    works(folder.path(), &["pki", "init", "--dir", "lenient"]);
    works(folder.path(), &["pki", "issue", "edge:car-1", "--dir", "lenient"]);
    works(folder.path(), &["pki", "issue", "client:car-1", "--dir", "lenient"]);
    let enrol = "registry enrol car-1 --opening o.toml --pki lenient --genesis g.toml --operator k";
    let refused = fails(folder.path(), &enrol.split(' ').collect::<Vec<_>>(), 1);
    assert!(refused.contains("one role"), "{refused}");
}

/// What was done with a CA stands in its audit log; a line of it that is changed, or an end that is cut off, is found.
#[test]
fn what_operators_do_is_entered_and_a_change_of_the_log_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| works(folder.path(), &line.split(' ').collect::<Vec<_>>());
    run("pki init");
    run("pki issue edge:car-1");
    run("pki revoke edge:car-1");
    let shown = run("audit show --dir pki/audit --kind operator");
    for done in ["a CA is made", "issued urn:voltmesh:edge:car-1", "revoked urn:voltmesh:edge:car-1"] {
        assert!(shown.contains(done), "{shown}");
    }
    assert_eq!(run("audit show --dir pki/audit --last 1 --json").lines().count(), 1);
    let said = run("audit verify --dir pki/audit");
    let head = said.lines().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
    run("pki issue edge:car-2");
    run(&format!("audit verify --dir pki/audit --head {head}"));
    let file = folder.path().join("pki/audit/audit-00000000000000000000.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let verify = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let line = format!("audit verify --dir pki/audit --head {head} --json");
        let output = voltmesh(folder.path(), &line.split(' ').collect::<Vec<_>>());
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["holds"].as_bool(), Some(output.status.code() == Some(0)), "{said}");
        output.status.code().unwrap()
    };
    assert_eq!(verify(&text), 0);
    assert_eq!(
        verify(&text.replacen("issued urn:voltmesh:edge:car-1", "issued urn:voltmesh:edge:car-9", 1)),
        3
    );
    let cut: Vec<&str> = text.lines().take(2).collect();
    assert_eq!(verify(&format!("{}\n", cut.join("\n"))), 3, "the noted head is gone");
    assert!(fails(folder.path(), &["audit", "verify", "--dir", "absent"], 1).contains("no audit log"));
}

/// Each secret that a role reads at its start, open to the group: the role ends and says what to type.
#[test]
fn no_role_starts_with_a_key_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| works(folder.path(), &line.split(' ').collect::<Vec<_>>());
    run("pki init");
    for who in
        ["edge:car-1", "fog:fog-1", "fog:fog-2", "fog:fog-3", "fog:fog-4", "cloud:cloud-1", "operator:op-1"]
    {
        run(&format!("pki issue {who}"));
    }
    run(
        "registry genesis --chain c --authority pki/fog-fog-1/sign.pub --authority pki/fog-fog-2/sign.pub --authority pki/fog-fog-3/sign.pub --authority pki/fog-fog-4/sign.pub --operator pki/operator-op-1/sign.pub --threshold 1 --cloud pki/cloud-cloud-1/sign.pub -o genesis.toml --trust trust.toml",
    );
    run("registry opening --key pki/edge-car-1/sign.pub -o opening.toml");
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    let chmod = |file: &str, mode| {
        std::fs::set_permissions(folder.path().join(file), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("secret", &"ab".repeat(32));
    write("token", "0123456789abcdef");
    write(
        "edge.toml",
        "data = 'edge'\ncredentials = 'pki/edge-car-1'\ncrl = 'pki/crl.pem'\ntrust = 'trust.toml'\nopening = 'opening.toml'\nsecret = 'secret'\nfogs = ['127.0.0.1:1']\nhttp = '127.0.0.1:0'\n[source]\nkind = 'sim'",
    );
    write(
        "fog.toml",
        "data = 'fog'\ncredentials = 'pki/fog-fog-1'\ncrl = 'pki/crl.pem'\n[listen]\nmqtt = '127.0.0.1:0'\np2p = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\n[ledger]\ngenesis = 'genesis.toml'",
    );
    write(
        "cloud.toml",
        "credentials = 'pki/cloud-cloud-1'\nrevocations = 'pki/crl.pem'\ntrust = 'trust.toml'\narchive = 'archive'\n[mqtt]\nlisten = '127.0.0.1:0'\n[http]\nlisten = '127.0.0.1:0'\ntoken_file = 'token'",
    );
    chmod("token", 0o600);
    chmod("secret", 0o600);
    for (role, file) in [
        ("edge", "pki/edge-car-1/tls.key"),
        ("edge", "pki/edge-car-1/sign.key"),
        ("edge", "secret"),
        ("fog", "pki/fog-fog-1/tls.key"),
        ("fog", "pki/fog-fog-1/sign.key"),
        ("cloud", "pki/cloud-cloud-1/tls.key"),
        ("cloud", "pki/cloud-cloud-1/sign.key"),
    ] {
        chmod(file, 0o640);
        let said = fails(folder.path(), &[role, "--config", &format!("{role}.toml")], 1);
        assert!(said.contains("chmod 600") && said.contains(file), "{role}, {file}: {said}");
        chmod(file, 0o600);
    }
    for made in ["edge", "fog", "archive", "audit", "fog/audit"] {
        let mode = std::fs::metadata(folder.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
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
    assert!(fails(folder.path(), &["demo", "--fault", "pause:cloud@1s"], 1).contains("resume:cloud"));
    assert!(fails(folder.path(), &["demo", "--chaos", "7", "--duration", "9s"], 1).contains("at least 16 s"));
}

#[test]
fn a_file_that_is_no_proof_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.cose"), b"not a proof").unwrap();
    std::fs::write(folder.path().join("trust.toml"), b"chain = 1").unwrap();
    assert!(fails(folder.path(), &["verify", "r.cose", "--trust", "trust.toml"], 1).contains("trust.toml"));
}

#[test]
fn agreements_are_measured_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let help = works(folder.path(), &["bench", "consensus", "--help"]);
    let example = help.lines().map(str::trim).find(|line| line.starts_with("voltmesh bench consensus"));
    let example: Vec<&str> = example.expect("help has an example").split(' ').skip(1).collect();
    assert!(works(folder.path(), &example).contains("conflicting final blocks"));

    let short =
        "bench consensus --protocols poa,pbft --authorities 4 --seconds 1 --warm-up 1 -o figures --json";
    let output = works(folder.path(), &short.split(' ').collect::<Vec<_>>());
    let report: serde_json::Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let names: Vec<_> = report["protocols"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["poa", "pbft"]);
    for file in ["results.json", "latency-over-time.svg", "battery-transactions.svg", "energy.svg", "cpu.svg"]
    {
        assert!(folder.path().join("figures").join(file).is_file(), "{file} is not there");
    }

    std::fs::write(folder.path().join("net.toml"), "name = \"x\"\n[[class]]\nlatency_ms = [9, 1]").unwrap();
    for (line, why) in [
        ("bench consensus --protocols poa --network net.toml", "class 1: latency_ms"),
        ("bench consensus --protocols poa --authorities 3", "want 4 to 100"),
        ("bench consensus --protocols poa --authorities 4 --fault crash:2", "at most 1"),
        ("bench consensus --protocols poa --runtime tcp --fault partition", "partition"),
    ] {
        let error = fails(folder.path(), &line.split(' ').collect::<Vec<_>>(), 1);
        assert!(error.contains(why), "{line}: {error}");
    }
    fails(folder.path(), &["bench", "consensus", "--protocols", "raft"], 2);
}
