//! Keys in tokens, with SoftHSM as the token. Tests are built with tokens, whatever the program's features.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use voltmesh::args::ElectionArgs;
use voltmesh::deploy::{Site, Size};

/// Where Debian and others install SoftHSM's library.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
];
const PIN: &str = "pin-of-these-tests";

/// A folder with a token of its own.
struct Hsm {
    folder: PathBuf,
    library: &'static str,
}

impl Hsm {
    /// `None`, said aloud, where SoftHSM is not installed.
    fn new(folder: &Path) -> Option<Self> {
        let library = LIBRARIES.into_iter().find(|library| Path::new(library).exists());
        let Some(library) = library else {
            eprintln!("skipped: SoftHSM is not installed (Debian: softhsm2)");
            return None;
        };
        let hsm = Self { folder: folder.to_path_buf(), library };
        std::fs::create_dir(folder.join("tokens")).unwrap();
        let config = format!("directories.tokendir = {}\n", folder.join("tokens").display());
        std::fs::write(folder.join("softhsm2.conf"), config).unwrap();
        for (file, pin) in [("pin", PIN), ("wrong-pin", "another")] {
            voltmesh_identity::write_private(&folder.join(file), pin.as_bytes()).unwrap();
        }
        let mut made = Command::new("softhsm2-util");
        made.args([
            "--init-token",
            "--free",
            "--label",
            "fleet",
            "--pin",
            PIN,
            "--so-pin",
            "so-pin-of-these-tests",
        ]);
        let made = made.env("SOFTHSM2_CONF", folder.join("softhsm2.conf")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(hsm)
    }

    fn uri(&self, object: &str, pin: &str) -> String {
        let pin = self.folder.join(pin);
        format!(
            "pkcs11:token=fleet;object={object}?module-path={}&pin-source=file:{}",
            self.library,
            pin.display()
        )
    }

    fn run(&self, folder: &Path, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_voltmesh"));
        command.args(words).current_dir(folder).env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"));
        command.output().unwrap()
    }

    fn works(&self, folder: &Path, words: &[&str]) -> String {
        let output = self.run(folder, words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, folder: &Path, words: &[&str], why: &str) {
        let output = self.run(folder, words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains(why) && !said.contains(PIN) && !said.contains("panicked"), "{words:?}: {said}");
    }
}

#[test]
fn a_ca_in_a_token_issues_and_revokes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let Some(hsm) = Hsm::new(at) else { return };
    let ca = hsm.uri("voltmesh-ca", "pin");
    hsm.fails(at, &["pki", "init", "--pkcs11", &hsm.uri("voltmesh-ca", "wrong-pin")], "the PIN is not taken");
    hsm.fails(
        at,
        &["pki", "init", "--pkcs11", &ca.replace("token=fleet", "token=other")],
        "no token of that name",
    );
    assert!(!at.join("pki/ca.crt").exists());
    // The second attempt finds the folder as the first ones left it.
    let _ = std::fs::remove_dir_all(at.join("pki"));
    hsm.works(at, &["pki", "init", "--pkcs11", &ca]);
    assert!(!at.join("pki/ca.key").exists(), "its key is in the token alone");
    hsm.works(at, &["pki", "issue", "edge:car-1"]);
    hsm.works(at, &["pki", "issue", "edge:car-2"]);
    hsm.works(at, &["pki", "revoke", "edge:car-2"]);
    let openssl = |words: &[&str]| Command::new("openssl").args(words).current_dir(at).output();
    let Ok(verified) = openssl(&["verify", "-CAfile", "pki/ca.crt", "pki/edge-car-1/tls.crt"]) else {
        return eprintln!("skipped: openssl is not installed");
    };
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let checked = ["-crl_check", "-CRLfile", "pki/crl.pem", "-CAfile", "pki/ca.crt"];
    for (car, good) in [("pki/edge-car-1/tls.crt", true), ("pki/edge-car-2/tls.crt", false)] {
        let verified = openssl(&[&["verify"][..], &checked, &[car]].concat()).unwrap();
        assert_eq!(verified.status.success(), good, "{car}: {}", String::from_utf8_lossy(&verified.stderr));
    }
    // Where the token is gone, nothing is issued.
    std::fs::rename(at.join("tokens"), at.join("elsewhere")).unwrap();
    std::fs::create_dir(at.join("tokens")).unwrap();
    hsm.fails(at, &["pki", "issue", "edge:car-3"], "no token of that name");
}

/// An operator whose key is in a token takes over from those with files, and decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_signs_with_a_token() {
    let tokens = tempfile::tempdir().unwrap();
    let Some(hsm) = Hsm::new(tokens.path()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let size =
        Size { fogs: 4, vehicles: 1, cloud: false, epoch_length: 1_000, election: ElectionArgs::default() };
    let program = Path::new(env!("CARGO_BIN_EXE_voltmesh"));
    let mut site = Site::prepare(program, folder.path(), size, false).await.unwrap();
    site.start().await.unwrap();
    let at = site.deployment.dir.clone();
    let place = hsm.uri("op-9", "pin");
    hsm.fails(&at, &["pki", "issue", "edge:car-9", "--pkcs11", &place], "only an operator's signing key");
    hsm.works(&at, &["pki", "issue", "operator:op-9", "--pkcs11", &place]);
    assert!(!at.join("pki/operator-op-9/sign.key").exists());
    let fog = site.fogs[0].http.to_string();
    let signed = ["--genesis", "genesis.toml", "--fog", &fog];
    let files = ["--operator", "pki/operator-op-1/sign.key", "--operator", "pki/operator-op-2/sign.key"];
    let set = ["registry", "set-operators", "--key", "pki/operator-op-9/sign.pub", "--threshold", "1"];
    hsm.works(&at, &[&set[..], &signed, &files].concat());
    hsm.works(&at, &["registry", "opening", "--key", "pki/operator-op-2/sign.pub", "-o", "other.toml"]);
    let enrol = ["registry", "enrol", "car-9", "--opening", "other.toml"];
    hsm.fails(&at, &[&enrol[..], &signed, &files].concat(), "not an operator");
    let wrong = hsm.uri("op-9", "wrong-pin");
    hsm.fails(&at, &[&enrol[..], &signed, &["--operator", &wrong]].concat(), "the PIN is not taken");
    hsm.works(&at, &[&enrol[..], &signed, &["--operator", "pki/operator-op-9/sign.uri"]].concat());
    let status = hsm.works(&at, &["chain", "status", "--json", "--fog", &fog]);
    let status: Value = serde_json::from_str(status.lines().last().unwrap()).unwrap();
    assert_eq!((status["threshold"].as_u64(), status["operators"].as_array().unwrap().len()), (Some(1), 1));
    site.stop().await;
}
