//! docs/operate.md, followed word by word: its own code blocks, in order, by separate processes, from an empty folder. Ports are
//! replaced by free ones wherever the document writes or implies them.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use voltmesh::deploy::ReservedPort;

/// Longest run: some two minutes on an idle machine of two cores.
const PATIENCE: Duration = Duration::from_secs(900);

/// Ports that the document names: those of each fog node's MQTT, ledger and HTTP, of the cloud's MQTT and HTTP, and of
/// the vehicle's HTTP.
const PORTS: [u16; 6] = [8883, 7000, 9100, 8884, 8094, 9200];
const FOG_HTTP: usize = 2;
const CLOUD_HTTP: usize = 4;

/// Addresses that the document gives to its fog nodes.
const LOOPBACK: [&str; 4] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];

/// Where the commands that replace and encrypt keys are run.
const IN_KEYS: &str = "replaces keys of running roles (crates/voltmesh/tests/keys.rs, crates/identity)";

/// Sections whose commands are not run here, and why.
const NOT_RUN: [(&str, &str); 10] = [
    ("Keys in tokens", "wants a token (crates/voltmesh/tests/pkcs11.rs)"),
    ("Keys that are made where they live", IN_KEYS),
    ("Encrypted keys", IN_KEYS),
    ("A vehicle's keys", IN_KEYS),
    ("Operators", IN_KEYS),
    ("The cloud's key", IN_KEYS),
    ("Under systemd", "changes users and services of the machine"),
    (
        "A committee that has stalled",
        "wants a chain with a committee (crates/voltmesh/tests/chain.rs, the simulator)",
    ),
    ("7. History, joining, repair", "wants 4,096 blocks, and a damaged disk (crates/consensus)"),
    ("9. Charging stations", "wants a network's history (crates/voltmesh/tests/stations.rs)"),
];

/// A second role on each port of a fog node and of the cloud, under the key of a node that serves in no epoch: it ends, and
/// names the address.
const TAKEN: &str = r#"
for port in mqtt p2p http; do
  address="$(sed -n "s/^$port = \"\(.*\)\"/\1/p" fog-1/fog.toml)"
  sed -e 's|^data = .*|data = "other"|' -e 's|fog-fog-1"|fog-fog-5"|' -e "/^\[listen\]/,/^\$/{/^$port/!s|:[0-9]*\"|:0\"|}" \
    fog-1/fog.toml > fog-1/second.toml
  if timeout 60 voltmesh fog --config fog-1/second.toml > taken 2>&1; then exit 9; fi
  grep -F "$address" taken | grep "cannot listen"
done
sed -e 's|^archive = .*|archive = "other"\naudit = "other-audit"|' cloud.toml > second.toml
if timeout 60 voltmesh cloud --config second.toml > taken 2>&1; then exit 9; fi
grep "cannot listen on 127.0.0.1:" taken
"#;

/// The lost node says why it does not vote once it has heard of its rotation, which may be after the document's step.
const WHY_NOT: &str = r#"
address="$(sed -n 's/^http = "\(.*\)"/\1/p' fog-3/fog.toml)"
until voltmesh chain status --fog "$address" > status && grep "does not vote yet" status; do :; done
"#;

/// A fenced block of a document.
struct Block {
    heading: String,
    language: String,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let (mut blocks, mut heading, mut open) = (Vec::new(), String::new(), None::<Block>);
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (heading, language) = (heading.clone(), language.trim().to_owned());
                open = Some(Block { heading, language, text: String::new() });
            }
            (None, None) if line.starts_with('#') => heading = line.trim_start_matches(['#', ' ']).to_owned(),
            (None, None) => {}
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    blocks
}

/// Free ports in the place of those of the document.
struct Ports(Vec<ReservedPort>);

impl Ports {
    /// Ports that are free on each of the fog nodes' addresses.
    fn choose() -> Self {
        let free = |port: &ReservedPort| {
            LOOPBACK.iter().all(|host| TcpListener::bind((*host, port.address().port())).is_ok())
        };
        let reserved: Vec<_> = (0..64).map(|_| ReservedPort::reserve().unwrap()).collect();
        let ports: Vec<_> = reserved.into_iter().filter(free).take(PORTS.len()).collect();
        assert_eq!(ports.len(), PORTS.len(), "six ports are free on {LOOPBACK:?}");
        Self(ports)
    }

    /// A text of the document with them, also where it relies on a default.
    fn put(&self, text: &str) -> String {
        let mut text: String = text.lines().map(|line| self.stated(line) + "\n").collect();
        for (shown, port) in PORTS.iter().zip(self.0.iter().map(|port| port.address().port())) {
            for before in [":", "-p "] {
                text = text.replace(&format!("{before}{shown}"), &format!("{before}{port}"));
            }
        }
        text
    }

    /// A command with the address that it would take by default.
    fn stated(&self, line: &str) -> String {
        let (command, comment) = line.split_once("   #").unwrap_or((line, ""));
        let address = |option: &str, port: usize| match command.contains(option) {
            true => line.to_owned(),
            false => format!("{} {option} 127.0.0.1:{}   #{comment}", command.trim_end(), PORTS[port]),
        };
        let asks = |what: &str| command.trim_start().starts_with(what);
        let offline =
            ["registry genesis", "registry opening"].iter().any(|what| asks(&format!("voltmesh {what}")));
        if (asks("voltmesh chain ") || asks("voltmesh registry ")) && !offline {
            address("--fog", FOG_HTTP)
        } else if asks("voltmesh prove ") {
            address("--cloud", CLOUD_HTTP)
        } else {
            line.to_owned()
        }
    }
}

/// The document as one script: `sh` is run, and `toml` that begins with a comment of a file's name is that file.
fn script(document: &str, before: &[(&str, &str)], ports: &Ports) -> String {
    let mut script = "set -eu\n".to_owned();
    for block in blocks(document) {
        if NOT_RUN.iter().any(|(heading, _)| *heading == block.heading) {
            continue;
        }
        if let Some((_, text)) = before.iter().find(|(heading, _)| *heading == block.heading)
            && !script.contains(&ports.put(text))
        {
            script += &ports.put(text);
        }
        let file = block.text.lines().next().and_then(|line| line.strip_prefix("# "));
        match (block.language.as_str(), file.filter(|name| name.ends_with(".toml"))) {
            ("sh", _) => script += &format!("echo '== {}' >&2\n{}", block.heading, ports.put(&block.text)),
            ("toml", Some(file)) => {
                let text = ports.put(&block.text);
                script += &format!("mkdir -p \"$(dirname {file})\"\ncat > {file} <<'END'\n{text}END\n");
            }
            _ => {}
        }
    }
    script
}

/// A process with all that it starts, which end with it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// Runs a script in a folder with our program on its path; what it printed, and whether it went well.
fn run(script: &str, folder: &Path) -> (bool, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_voltmesh")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let said = tempfile::tempdir().unwrap();
    let out = std::fs::File::create(said.path().join("said")).unwrap();
    let child = Command::new("bash")
        .args(["-x", "-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .process_group(0)
        .spawn()
        .unwrap();
    let group = Group(child);
    let pid = Pid::from_raw(i32::try_from(group.0.id()).unwrap()).unwrap();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let status = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        let _ = ended.send(status.ok().flatten().is_some_and(|(_, status)| status.exit_status() == Some(0)));
    });
    let well = end.recv_timeout(PATIENCE).unwrap_or(false);
    drop(group);
    (well, String::from_utf8_lossy(&std::fs::read(said.path().join("said")).unwrap()).into_owned())
}

fn section(document: &str, heading: &str) -> String {
    let block = blocks(document).into_iter().find(|block| block.heading == heading && block.language == "sh");
    block.unwrap_or_else(|| panic!("README has a section {heading:?} with commands")).text
}

#[test]
fn the_documents_steps_run_in_order_from_an_empty_folder() {
    let (operate, readme) = (include_str!("../../../docs/operate.md"), include_str!("../../../README.md"));
    let ports = Ports::choose();
    let proof = section(readme, "Proof of a record");
    let mut script = script(operate, &[("8. Check and mend an archive", &proof)], &ports);
    if Command::new("mosquitto_pub").arg("--help").output().is_err() {
        eprintln!("a step is skipped: mosquitto_pub is not installed (Debian: mosquitto-clients)");
        script = script
            .lines()
            .filter(|line| !line.starts_with("mosquitto_pub"))
            .map(|line| format!("{line}\n"))
            .collect();
    }
    script += WHY_NOT;
    script += TAKEN;
    let folder = tempfile::tempdir().unwrap();
    let (well, said) = run(&script, folder.path());
    let mut logs = String::new();
    for name in ["fog-1", "fog-3"].map(|fog| format!("{fog}/log")).iter().chain(&["cloud.log".to_owned()]) {
        let log = std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        logs += &format!("{name}: {last:#?}\n");
    }
    assert!(well, "{said}\n{logs}");
    // The lost node follows under its new key, and says why it does not vote.
    let why = "follows, and does not vote yet: it is admitted, and serves from epoch 2 on (block 2000)";
    assert!(said.contains(why), "{said}");
    // All that the vehicle said is archived, and what the foreign client said.
    let report = said.lines().find(|line| line.starts_with("{\"sound\"")).expect("verify --json");
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["sound"], true, "{report}");
    assert_eq!(report["vehicles"]["car-1"], 600, "{report}");
    if script.contains("mosquitto_pub") {
        assert_eq!(report["vehicles"]["meter-7"], 1, "{report}");
    }
}

#[test]
fn what_is_not_run_is_in_the_document() {
    let shown: BTreeSet<String> = blocks(include_str!("../../../docs/operate.md"))
        .into_iter()
        .filter(|block| block.language == "sh")
        .map(|block| block.heading)
        .collect();
    for (heading, reason) in NOT_RUN {
        assert!(shown.contains(heading) && !reason.is_empty(), "{heading}");
    }
}

#[test]
fn readme_shows_the_sample_of_the_deployment() {
    let one_line = |text: &str| {
        let text = text.replace("\\\n", " ");
        let line = text.lines().find(|line| line.starts_with("mosquitto_pub")).unwrap().to_owned();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        one_line(include_str!("../../../README.md")),
        one_line(include_str!("../../../docs/operate.md"))
    );
}
