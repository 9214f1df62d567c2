//! Keys as an operator handles them: made where they live, encrypted at rest, replaced.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use voltmesh::args::ElectionArgs;
use voltmesh::deploy::{EdgePlan, Pace, Recording, Site, Size, Tuning};

/// Of the deployments of these tests.
const PASSPHRASE: &str = "a passphrase of these tests";

/// Runs commands in one folder, with the passphrase of a file there.
struct Shell {
    folder: PathBuf,
    passphrase: &'static str,
}

impl Shell {
    fn new(folder: &Path) -> Self {
        for (file, text) in [("passphrase", PASSPHRASE), ("wrong", "another passphrase")] {
            voltmesh_identity::write_private(&folder.join(file), format!("{text}\n").as_bytes()).unwrap();
        }
        Self { folder: folder.to_path_buf(), passphrase: "passphrase" }
    }

    fn with(&self, passphrase: &'static str) -> Self {
        Self { folder: self.folder.clone(), passphrase }
    }

    fn run(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_voltmesh"));
        command.args(words.split_whitespace()).current_dir(&self.folder);
        if !self.passphrase.is_empty() {
            command.env("VOLTMESH_PASSPHRASE_FILE", self.passphrase);
        }
        command.output().unwrap()
    }

    fn works(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, words: &str, why: &str) {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}: {said}");
        assert!(said.contains(why), "{words}: {said}");
        assert!(!said.contains(PASSPHRASE) && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn keys_that_never_leave_get_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let shell = Shell::new(folder.path());
    shell.works("pki init --one-role");
    shell.works("pki csr edge:car-1 --keys car");
    shell.fails("pki sign edge:car-2 --request car/request.csr", "asks for \"urn:voltmesh:edge:car-1\"");
    shell.fails("pki sign edge:car-1 --request car/sign.pub", "no request in PEM");
    shell.works("pki sign edge:car-1 --request car/request.csr --days 7");
    assert!(!folder.path().join("pki/edge-car-1/tls.key").exists(), "the CA has no key");
    shell.fails("pki sign edge:car-1 --request car/request.csr", "already has the certificate");
    shell.fails("pki renew edge:car-1", "live elsewhere");
    shell.works("pki install --keys car --certificate pki/edge-car-1/tls.crt --ca pki/ca.crt");
    voltmesh_identity::Credentials::load(&folder.path().join("car")).unwrap();
    shell
        .fails("pki install --keys car --certificate pki/edge-car-1/tls.crt --ca pki/ca.crt", "tls.key.next");
    shell.works("registry opening --key car/sign.pub -o opening.toml");
    assert!(shell.works("audit show --dir pki/audit").contains("signed urn:voltmesh:edge:car-1"));
}

#[test]
fn encrypted_keys_want_their_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let shell = Shell::new(folder.path());
    let (none, wrong) = (shell.with(""), shell.with("wrong"));
    shell.works("pki init --encrypt");
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    assert!(read("pki/ca.key").contains("ENCRYPTED PRIVATE KEY"));
    none.fails("pki issue edge:car-1", "VOLTMESH_PASSPHRASE_FILE");
    wrong.fails("pki issue edge:car-1", "does not open it");
    shell.works("pki issue edge:car-1");
    let keys = "pki/edge-car-1/tls.key pki/edge-car-1/sign.key";
    assert!(!read("pki/edge-car-1/tls.key").contains("ENCRYPTED"), "only on request");
    none.fails(&format!("pki encrypt {keys}"), "no passphrase is given");
    shell.works(&format!("pki encrypt {keys}"));
    wrong.fails(&format!("pki encrypt {keys}"), "does not open it");
    shell.works("pki renew edge:car-1");
    for key in keys.split(' ') {
        assert!(read(key).contains("ENCRYPTED"), "{key}: what was encrypted is not replaced by a plain key");
    }
    shell.works(&format!("pki decrypt {keys}"));
    assert!(!read("pki/edge-car-1/sign.key").contains("ENCRYPTED"));
    std::fs::write(folder.path().join("open"), PASSPHRASE).unwrap();
    shell.with("open").fails("pki issue edge:car-2", "chmod 600");

    // From a descriptor, and from a systemd credential.
    let credentials = folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::copy(folder.path().join("passphrase"), credentials.join("voltmesh-passphrase")).unwrap();
    let program = env!("CARGO_BIN_EXE_voltmesh");
    for (id, line) in [
        ("car-3", format!("VOLTMESH_PASSPHRASE_FD=7 {program} pki issue edge:car-3 7<passphrase")),
        ("car-4", format!("CREDENTIALS_DIRECTORY=credentials {program} pki issue edge:car-4")),
    ] {
        let output = Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{id}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Archives so many samples of the vehicle since its beginning.
fn drive(shell: &Shell, plan: &mut EdgePlan, site: &Site, samples: u64) {
    plan.recording.samples = Some(samples);
    site.deployment.write_edge(plan).unwrap();
    let said = shell.works("edge --config edge-1/edge.toml");
    assert!(said.contains(" 0 batches kept"), "{said}");
}

/// A vehicle's key, the operators and the cloud's key are replaced while the system runs, with encrypted keys; everything that
/// was signed stays proven.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_operators_are_replaced_and_the_archive_stays_proven() {
    let folder = tempfile::tempdir().unwrap();
    let size =
        Size { fogs: 4, vehicles: 1, cloud: true, epoch_length: 1_000, election: ElectionArgs::default() };
    let program = Path::new(env!("CARGO_BIN_EXE_voltmesh"));
    let mut site = Site::prepare(program, folder.path(), size, false).await.unwrap();
    site.start().await.unwrap();
    let shell = Shell::new(&site.deployment.dir);
    let recording = Recording { file: None, seed: 1, series: None, pace: Pace::Unlimited, samples: Some(0) };
    let mut plan = EdgePlan {
        n: 1,
        http: site.reserve_port().unwrap(),
        fogs: site.fog_mqtt.clone(),
        recording,
        tuning: Tuning::DEMO,
    };
    drive(&shell, &mut plan, &site, 300);

    // The vehicle, with encrypted keys. Its key in memory is not needed for long: no agent runs.
    shell.works("pki encrypt pki/edge-edge-1/sign.key pki/edge-edge-1/tls.key pki/operator-op-1/sign.key");
    let operators = "--operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key";
    let signed = format!("--genesis genesis.toml --fog {}", site.fogs[0].http);
    let rotate = format!("registry rotate-vehicle --config edge-1/edge.toml --pki pki {signed}");
    shell.with("wrong").fails(&format!("{rotate} {operators}"), "does not open it");
    shell.fails(&format!("{rotate} --operator pki/operator-op-2/sign.key"), "1 operator");
    // The refused attempt is under way; the next one finishes it.
    let before = std::fs::read_to_string(shell.folder.join("edge-1/opening.toml")).unwrap();
    assert!(shell.folder.join("pki/edge-edge-1/rotation.toml").exists());
    let said = shell.works(&format!("{rotate} {operators}"));
    assert!(said.contains("the new key counts from block") && said.contains("revoked"), "{said}");
    assert_ne!(std::fs::read_to_string(shell.folder.join("edge-1/opening.toml")).unwrap(), before);
    assert!(!shell.folder.join("pki/edge-edge-1/rotation.toml").exists());
    assert!(shell.works("audit show --dir edge-1/data/audit").contains("is rotated in block"));
    shell.with("wrong").fails("edge --config edge-1/edge.toml", "does not open it");
    drive(&shell, &mut plan, &site, 600);

    // The operators: one of one from now on.
    shell.works("pki issue operator:op-4");
    let set = format!("registry set-operators --key pki/operator-op-4/sign.pub {signed}");
    shell.fails(&format!("{set} --threshold 2 {operators}"), "signatures of operators");
    let said = shell.works(&format!("{set} --threshold 1 {operators}"));
    assert!(said.contains("2 of 3 until now, 1 of 1 from then on, of whom 0"), "{said}");
    shell.works("registry opening --key pki/operator-op-2/sign.pub -o other.toml");
    let enrol = format!("registry enrol car-9 --opening other.toml {signed}");
    shell.fails(&format!("{enrol} {operators}"), "not an operator");
    shell.works(&format!("{enrol} --operator pki/operator-op-4/sign.key"));
    let status: Value =
        serde_json::from_str(&shell.works(&format!("chain status --json --fog {}", site.fogs[0].http)))
            .unwrap();
    assert_eq!((status["threshold"].as_u64(), status["operators"].as_array().unwrap().len()), (Some(1), 1));

    // The cloud's notice key.
    shell.works("pki next-key --keys pki/cloud-cloud");
    shell.fails("pki use-next-key --keys pki/cloud-cloud --trust trust.toml", "does not name the key");
    let fog = site.fogs[0].http;
    shell.works(&format!(
        "chain trust --genesis genesis.toml --cloud pki/cloud-cloud/sign.pub.next -o trust.toml --fog {fog}"
    ));
    shell.works("pki use-next-key --keys pki/cloud-cloud --trust trust.toml");
    shell.fails("pki use-next-key --keys pki/cloud-cloud --trust trust.toml", "no key waits");
    let next = site.deployment.cloud_key().unwrap();
    for fog in &mut site.fogs {
        let path = shell.folder.join(&fog.name).join("fog.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once("notice_key = ").unwrap();
        let (old, tail) = rest.split_once('\n').unwrap();
        std::fs::write(&path, format!("{head}notice_key = [{old}, \"{next}\"]\n{tail}")).unwrap();
        fog.kill().await.unwrap();
        fog.start().unwrap();
    }
    let cloud = site.cloud.as_mut().unwrap();
    cloud.kill().await.unwrap();
    cloud.start().unwrap();
    // `write_trust` would write the file anew without the former key.
    let trust = std::fs::read(shell.folder.join("trust.toml")).unwrap();
    plan.recording.samples = Some(900);
    site.deployment.write_edge(&plan).unwrap();
    assert_eq!(std::fs::read(shell.folder.join("trust.toml")).unwrap(), trust);
    let said = shell.works("edge --config edge-1/edge.toml");
    assert!(said.contains("900 archived") && said.contains(" 0 batches kept"), "{said}");

    let said = shell.works("verify --archive cloud/archive --trust trust.toml --json");
    let report: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    // A source of another length begins anew: 300, 600 and 900 samples.
    assert_eq!(report["records"].as_u64(), Some(1_800), "{said}");
    site.stop().await;
}
