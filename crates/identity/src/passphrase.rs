//! The passphrase of encrypted keys: where a process finds it.

use std::env;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::files;

/// Names the file that holds the passphrase of encrypted keys; mode 0600, as a key.
pub const PASSPHRASE_FILE: &str = "VOLTMESH_PASSPHRASE_FILE";
/// Names the descriptor, inherited from the caller, from which the passphrase is read to its end.
pub const PASSPHRASE_FD: &str = "VOLTMESH_PASSPHRASE_FD";
/// Name of the systemd credential that is the passphrase (`LoadCredential=`, `LoadCredentialEncrypted=`).
pub const PASSPHRASE_CREDENTIAL: &str = "voltmesh-passphrase";

/// Longest passphrase, in bytes: sixteen times a SHA-256 in hex.
const MAX_BYTES: u64 = 1024;
/// Shortest passphrase that new keys are encrypted with, in bytes: below it, scrypt alone does not stop a guesser who has the
/// file.
pub(crate) const MIN_NEW_BYTES: usize = 12;

/// A secret text that encrypts private keys. Its `Debug` form does not show it.
#[derive(Clone)]
pub(crate) struct Passphrase {
    text: Zeroizing<String>,
    /// Where it was found, for errors.
    pub(crate) origin: String,
}

impl Passphrase {
    /// A passphrase that was read from `origin`; the end of its line is no part of it.
    pub(crate) fn new(text: &str, origin: &str) -> Result<Passphrase, String> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(format!("{origin} holds no passphrase"));
        }
        Ok(Passphrase { text: Zeroizing::new(text.to_owned()), origin: origin.to_owned() })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// That of this process: from [`PASSPHRASE_FD`], else [`PASSPHRASE_FILE`], else the systemd credential
    /// [`PASSPHRASE_CREDENTIAL`]. Read once, since a descriptor gives it once and a process may lose the right to open the
    /// file. The error says what to do.
    pub(crate) fn of_process() -> Result<&'static Passphrase, String> {
        static FOUND: OnceLock<Result<Passphrase, String>> = OnceLock::new();
        FOUND.get_or_init(find).as_ref().map_err(Clone::clone)
    }
}

/// Reads the passphrase of this process now, if there is one, so that it is there once files can no longer be opened or the
/// user has changed.
pub fn read_passphrase_early() {
    let _ = Passphrase::of_process();
}

fn find() -> Result<Passphrase, String> {
    if let Some(number) = env::var_os(PASSPHRASE_FD) {
        let number = number.to_str().and_then(|text| text.parse::<u32>().ok());
        let number = number.ok_or_else(|| format!("{PASSPHRASE_FD} wants the number of a descriptor"))?;
        let path = PathBuf::from(format!("/proc/self/fd/{number}"));
        return Passphrase::new(&bounded(&path)?, &format!("descriptor {number} of {PASSPHRASE_FD}"));
    }
    if let Some(path) = env::var_os(PASSPHRASE_FILE) {
        let path = PathBuf::from(path);
        let text = files::read_private(&path).map_err(|error| error_with_cause(&error))?;
        let origin = format!("{} of {PASSPHRASE_FILE}", path.display());
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("{origin} has more than {MAX_BYTES} bytes"));
        }
        return Passphrase::new(&text, &origin);
    }
    if let Some(folder) = env::var_os("CREDENTIALS_DIRECTORY") {
        // systemd guards this folder; the files' modes are its own.
        let path = Path::new(&folder).join(PASSPHRASE_CREDENTIAL);
        if path.exists() {
            return Passphrase::new(&bounded(&path)?, &format!("the systemd credential {}", path.display()));
        }
    }
    Err(format!(
        "no passphrase is given: name its file in {PASSPHRASE_FILE}, its descriptor in {PASSPHRASE_FD}, or pass the systemd \
         credential {PASSPHRASE_CREDENTIAL}"
    ))
}

fn bounded(path: &Path) -> Result<Zeroizing<String>, String> {
    let refuse =
        |error: std::io::Error| format!("cannot read the passphrase from {}: {error}", path.display());
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 1));
    File::open(path).map_err(refuse)?.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(refuse)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("the passphrase in {} has more than {MAX_BYTES} bytes", path.display()));
    }
    Ok(text)
}

fn error_with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
