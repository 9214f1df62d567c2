//! `voltmesh chain` and operators' decisions, as a person and a script meet them: four fog nodes as processes.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use voltmesh::args::ElectionArgs;
use voltmesh::deploy::{Site, Size};
use voltmesh_identity::{Identity, Role};
use voltmesh_ledger::Trust;

/// So short that an admission is seen to come into effect.
const EPOCH_LENGTH: u64 = 8;

fn voltmesh(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voltmesh")).args(args).current_dir(folder).output().unwrap()
}

/// Runs commands in one folder against one fog node.
struct Shell<'a> {
    folder: &'a Path,
    fog: String,
}

impl Shell<'_> {
    fn run(&self, words: &str) -> Output {
        let mut args: Vec<&str> = words.split(' ').collect();
        args.extend(["--fog", &self.fog]);
        voltmesh(self.folder, &args)
    }

    fn text(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// One JSON object a line.
    fn lines(&self, words: &str) -> Vec<Value> {
        self.text(&format!("{words} --json"))
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn json(&self, words: &str) -> Value {
        let mut lines = self.lines(words);
        assert_eq!(lines.len(), 1, "{words}");
        lines.remove(0)
    }

    /// Fails with `code`; its stderr says `why`.
    fn fails(&self, words: &str, code: i32, why: &str) {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words}: {said}");
        assert!(said.contains(why), "{words}: {said}");
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

async fn site(folder: &Path, fogs: usize, election: ElectionArgs) -> Site {
    let size = Size { fogs, vehicles: 0, cloud: false, epoch_length: EPOCH_LENGTH, election };
    let program = Path::new(env!("CARGO_BIN_EXE_voltmesh"));
    let mut site = Site::prepare(program, folder, size, false).await.unwrap();
    site.start().await.unwrap();
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_is_visible_and_operable() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = site(folder.path(), 4, ElectionArgs::default()).await;
    let shell = Shell { folder: folder.path(), fog: site.fogs[0].http.to_string() };
    status_and_blocks(&shell, &site);
    authorities_and_scores(&shell);
    follow(&shell, &site).await;
    bad_input(&shell, &site).await;
    metrics(&site).await;
    trust_and_leaves(&shell);
    decisions(&shell, &site);
    site.stop().await;
}

/// The trust file says how large the log is, a refresh keeps what it said, and leaves lead to its root.
fn trust_and_leaves(shell: &Shell<'_>) {
    let words = "chain trust --genesis genesis.toml -o t.toml";
    let said = shell.text(&format!("{words} --cloud pki/fog-fog-1/sign.pub"));
    assert!(said.contains("each checked") && said.contains("The log has 0 leaves at block"), "{said}");
    let read = || Trust::from_toml(&std::fs::read_to_string(shell.folder.join("t.toml")).unwrap()).unwrap();
    let before = read();
    shell.text(words);
    let after = read();
    assert_eq!((before.cloud_keys().len(), before.cloud_keys()), (1, after.cloud_keys()));
    assert!(before.log().unwrap().height <= after.log().unwrap().height);

    let said = shell.text("chain leaves --trust t.toml -o leaves.bin");
    assert!(said.contains("leaves 0 to 0, they lead to the root of block"), "{said}");
    assert_eq!(std::fs::read(shell.folder.join("leaves.bin")).unwrap(), b"VMLEAVES\0\0\0\0\0\0\0\0");
    assert!(shell.text("chain leaves -o leaves.bin").contains("NOT checked"));
    shell.fails("chain leaves --from 1 --trust t.toml -o leaves.bin", 1, "the log has 0 leaves");
    shell.fails("chain leaves --trust genesis.toml -o leaves.bin", 1, "is no trust file");
    shell.fails("chain statement", 1, "no statement of an archive is in the log yet");
    std::fs::write(shell.folder.join("t.toml"), "nonsense").unwrap();
    shell.fails(words, 1, "t.toml is no trust file");
}

fn status_and_blocks(shell: &Shell<'_>, site: &Site) {
    let status = shell.json("chain status");
    assert_eq!(status["chain"], site.deployment.genesis.digest().to_string());
    assert_eq!(status["names"].as_object().unwrap().len(), 4);
    assert_eq!((&status["is_authority"], &status["votes"]), (&true.into(), &true.into()));
    assert_eq!((number(&status["epoch_length"]), number(&status["term_length"])), (EPOCH_LENGTH, 1));
    assert!(status["committee"].is_null() && number(&status["nonce"]) == 1, "{status}");
    assert!(shell.text("chain status").contains("votes in this epoch"));

    // Enough blocks for votes to be embedded, and one that is final when it is asked for.
    assert_eq!(shell.lines("chain follow --from 1 --blocks 5").len(), 5);
    let genesis = shell.json("chain block 0");
    assert_eq!((number(&genesis["height"]), &genesis["leader"]), (0, &Value::Null));
    // The block that holds the enrolments is among the first.
    let newest = number(&shell.json("chain block latest")["height"]);
    let blocks: Vec<Value> =
        (1..=newest).map(|height| shell.json(&format!("chain block {height}"))).collect();
    for (height, block) in (1..).zip(&blocks) {
        assert_eq!(number(&block["height"]), height);
        let name = block["leader_name"].as_str().unwrap_or_else(|| panic!("no leader: {block}"));
        assert!(name.starts_with("fog-"), "{block}");
        let parts =
            ["header_bytes", "certificate_bytes", "transaction_bytes"].map(|part| number(&block[part]));
        assert_eq!(parts.iter().sum::<u64>(), number(&block["bytes"]));
        assert!(block["skipped_views"].is_u64());
    }
    for pair in blocks.windows(2) {
        assert_eq!(pair[1]["parent"], pair[0]["digest"]);
    }
    let votes = blocks.iter().rev().find_map(|block| block["certificate"].as_object()).unwrap();
    let (voted, absent) = (votes["voted"].as_array().unwrap(), votes["absent"].as_array().unwrap());
    assert!(voted.len() >= 3 && voted.len() + absent.len() == 4, "{votes:?}");
    assert_eq!(number(&votes["quorum"]), 3);
    let decided: Vec<&Value> = blocks
        .iter()
        .flat_map(|block| block["transactions"].as_array().unwrap())
        .filter(|transaction| transaction["kind"] == "registry")
        .collect();
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0]["actions"][0]["action"], "enrol_vehicle");
    assert_eq!(decided[0]["signed_by"].as_array().unwrap().len(), 2);
    let shown = shell.text("chain block latest");
    assert!(shown.contains("leader") && shown.contains("epoch and view"), "{shown}");
}

fn authorities_and_scores(shell: &Shell<'_>) {
    let answer = shell.json("chain authorities");
    assert_eq!((number(&answer["voters"]), number(&answer["quorum"]), number(&answer["faults"])), (4, 3, 1));
    let authorities = answer["authorities"].as_array().unwrap();
    let mut names: Vec<&str> = authorities.iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["fog-1", "fog-2", "fog-3", "fog-4"]);
    for epoch in ["this_epoch", "next_epoch"] {
        assert!(authorities.iter().all(|one| one[epoch]["role"] == "voter"), "{answer}");
        let turns: f64 = authorities.iter().map(|one| one[epoch]["turns_percent"].as_f64().unwrap()).sum();
        assert!((turns - 100.0).abs() < 0.1, "{turns}");
    }
    assert!(authorities.iter().all(|one| one["quarantine"].is_null() && one["height"].is_u64()), "{answer}");
    let shown = shell.text("chain authorities");
    assert!(shown.contains("fog-1 (this node)") && shown.contains("voter"), "{shown}");

    let answer = shell.json("chain scores");
    let scores = answer["authorities"].as_array().unwrap();
    assert_eq!(scores.len(), 4);
    for score in scores {
        let percent = score["score_percent"].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&percent), "{score}");
        for field in ["votes", "proposed", "missed", "probation_epochs"] {
            assert!(score[field].is_u64(), "{field}: {score}");
        }
        assert!(score["turns_percent"].as_f64().unwrap() > 0.0);
    }
    let shown = shell.text("chain scores");
    assert!(shown.contains('█') && shown.contains("round trip ms"), "{shown}");

    let answer = shell.json("chain evidence");
    assert!(
        answer["convictions"].as_array().unwrap().is_empty() && answer["seen_here"].is_object(),
        "{answer}"
    );
    assert!(shell.text("chain evidence").contains("nobody is convicted"));
}

async fn follow(shell: &Shell<'_>, site: &Site) {
    let past = shell.lines("chain follow --from 1 --blocks 3");
    let heights: Vec<u64> = past.iter().map(|block| number(&block["height"])).collect();
    assert_eq!(heights, [1, 2, 3]);
    assert!(past.iter().all(|block| block["leader_name"].as_str().unwrap().starts_with("fog-")), "{past:?}");
    assert!(past[0]["final_after_ms"].is_null(), "it was final before");

    let new = shell.lines("chain follow --blocks 2");
    assert!(
        number(&new[0]["height"]) > 3 && new.iter().all(|block| block["final_after_ms"].is_u64()),
        "{new:?}"
    );
    assert_eq!(number(&new[1]["height"]), number(&new[0]["height"]) + 1);
    let shown = shell.text("chain follow --from 1 --blocks 1");
    assert!(shown.lines().count() == 2 && shown.contains("fog-"), "{shown}");

    // Each who follows costs something, so they are counted.
    let fog = site.fogs[0].http;
    let mut followers = Vec::new();
    for _ in 0..16 {
        followers.push(site.http.events(fog, "/chain/follow").await.unwrap());
    }
    shell.fails("chain follow --blocks 1", 1, "16 follow already");
    drop(followers);
}

async fn bad_input(shell: &Shell<'_>, site: &Site) {
    shell.fails("chain block 4000000000", 1, "is not final here: the newest is");
    shell.fails("chain block -1", 2, "a number from 0 on, or `latest`");
    shell.fails("chain block newest", 2, "a number from 0 on, or `latest`");
    shell.fails("chain block 18446744073709551616", 2, "a number from 0 on, or `latest`");
    shell.fails("chain evidence show 1", 1, "block 1 holds no evidence");
    shell.fails("chain evidence show 4000000000", 1, "is not final here");
    shell.fails("chain follow --blocks 0", 2, "--blocks");
    shell.fails("chain follow --from -1", 2, "");
    // Other programs ask the interface itself.
    for path in [
        "/chain/block/-1",
        "/chain/block/-1/explained",
        "/chain/block/x",
        "/chain/follow?from=x",
        "/chain/follow?till=1",
    ] {
        let refused = site.http.get(site.fogs[0].http, path).await.unwrap_err().to_string();
        assert!(refused.contains("answers 400"), "{path}: {refused}");
    }
}

async fn metrics(site: &Site) {
    let text = String::from_utf8(site.http.get(site.fogs[0].http, "/metrics").await.unwrap()).unwrap();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("voltmesh_fog_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("height") > 3.0 && value("peers") >= 3.0 && value("view") >= 1.0);
    assert!((0.0..=1e6).contains(&value("score_ppm")) && value("turns_ppm") > 0.0);
    for name in ["epoch", "pool", "convicted", "misbehaviour_total", "views_nullified_total"] {
        assert!(value(name) >= 0.0);
    }
    assert!(value("finality_seconds_count") > 0.0 && value("finality_seconds{quantile=\"0.99\"}") > 0.0);
}

fn decisions(shell: &Shell<'_>, site: &Site) {
    let newcomer = Identity::new(Role::Fog, "fog-5").unwrap();
    site.deployment.pki.issue(&newcomer, &[], 1).unwrap();
    let signed =
        "--genesis genesis.toml --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key";

    let said = shell.text(&format!("registry admit-authority pki/fog-fog-5/sign.pub {signed}"));
    assert!(said.contains("admitted: final in block") && said.contains("it counts from epoch"), "{said}");
    let five = |shell: &Shell<'_>| {
        let answer = shell.json("chain authorities");
        let mut all = answer["authorities"].as_array().unwrap().clone();
        all.retain(|authority| authority["name"].is_null());
        all.pop()
    };
    let admitted = five(shell).unwrap();
    assert!(
        admitted["admitted_from_epoch"].is_u64() && number(&admitted["probation_epochs"]) > 0,
        "{admitted}"
    );
    let key = admitted["key"].as_str().unwrap().to_owned();
    let height: u64 =
        said.split("final in block ").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    let block = shell.json(&format!("chain block {height}"));
    let decided =
        block["transactions"].as_array().unwrap().iter().find(|tx| tx["kind"] == "registry").unwrap();
    assert_eq!(decided["actions"][0], serde_json::json!({ "action": "admit_authority", "key": key }));

    // What can never be is refused at once, with the reason.
    let registry = |words: &str, why: &str| shell.fails(&format!("registry {words} {signed}"), 1, why);
    registry(&format!("admit-authority {key}"), "named twice");
    registry(&format!("pardon-authority {key}"), "not convicted");
    registry(&format!("remove-authority {}", "00".repeat(32)), "");
    registry("remove-authority absent.pub", "absent.pub");
    registry("remove-authority genesis.toml", "no Ed25519 public key");
    shell.fails(
        &format!(
            "registry remove-authority {key} --genesis genesis.toml --operator pki/operator-op-1/sign.key"
        ),
        1,
        "1 operator",
    );
    let other = "registry genesis --chain other --threshold 1 --operator pki/operator-op-1/sign.pub -o other.toml \
                 --trust other-trust.toml --authority pki/fog-fog-1/sign.pub --authority pki/fog-fog-2/sign.pub \
                 --authority pki/fog-fog-3/sign.pub --authority pki/fog-fog-4/sign.pub --term-length 4 --committee 4";
    let made = voltmesh(shell.folder, &other.split_whitespace().collect::<Vec<_>>());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = std::fs::read_to_string(shell.folder.join("other.toml")).unwrap();
    assert!(text.contains("term_length = 4") && text.contains("committee = 4"), "{text}");
    for (wrong, why) in [("--committee 5", "committee is 5"), ("--committee 7", "cannot be elected among 4")]
    {
        let words = other.replace("--committee 4", wrong);
        let refused = voltmesh(shell.folder, &words.split_whitespace().collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains(why), "{said}");
    }
    let signed = signed.replace("genesis.toml", "other.toml");
    shell.fails(&format!("registry remove-authority {key} {signed}"), 1, "is not the genesis of the chain");

    let signed = signed.replace("other.toml", "genesis.toml");
    shell.text(&format!("registry remove-authority {key} {signed}"));
    let next = Identity::new(Role::Fog, "fog-6").unwrap();
    site.deployment.pki.issue(&next, &[], 1).unwrap();
    shell.text(&format!("registry rotate-authority pki/fog-fog-4/sign.pub pki/fog-fog-6/sign.pub {signed}"));
    let answer = shell.json("chain authorities");
    let authorities = answer["authorities"].as_array().unwrap();
    let fog_4 = authorities.iter().find(|one| one["name"] == "fog-4").unwrap();
    assert!(fog_4["serves_until_epoch"].is_u64(), "{answer}");
    assert!(
        authorities.iter().any(|one| one["name"].is_null() && one["admitted_from_epoch"].is_u64()),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_committee_is_shown_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = site(folder.path(), 5, ElectionArgs { term_length: 2, committee: Some(4) }).await;
    let shell = Shell { folder: folder.path(), fog: site.fogs[4].http.to_string() };
    let status = shell.json("chain status");
    assert_eq!((number(&status["committee"]), number(&status["term_length"])), (4, 2));
    let answer = shell.json("chain authorities");
    assert_eq!((number(&answer["voters"]), &answer["has_committee"]), (4, &true.into()));
    let mut roles: Vec<&str> = answer["authorities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|authority| authority["this_epoch"]["role"].as_str().unwrap())
        .collect();
    roles.sort_unstable();
    assert_eq!(roles, ["follower", "voter", "voter", "voter", "voter"]);
    let new = shell.lines("chain follow --blocks 2");
    assert_eq!(new.len(), 2);
    site.stop().await;
}
