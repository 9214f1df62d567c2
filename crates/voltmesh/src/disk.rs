//! The disk of a role: looked at before it starts, and named if the role ends because of it.
//!
//! The ledger's journals panic when they cannot be written, as they must: a vote that is not on disk is no vote. What was
//! confirmed is safe, so a full or read-only disk is an orderly end: one message with path and remedy, exit code 4.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use voltmesh_ledger::{ProofError, Stage};

use crate::commands::twin::read::NotLooked;
use crate::output;

/// Exit code of a role that its disk has stopped, of a log that could not be looked at, and of a trust file that is too old
/// to tell.
pub const EXIT: u8 = 4;

/// Exit code of a vehicle whose recordings give no usable sample, or are doubtful.
pub const EXIT_UNREAD: u8 = 2;

/// Bytes that must be writable: a journal's page and its index, with room to say so.
const PROBE: usize = 64 << 10;

/// A folder that cannot be written.
#[derive(Debug)]
pub struct Unwritable {
    folder: PathBuf,
    cause: std::io::Error,
}

impl Unwritable {
    fn remedy(&self) -> &'static str {
        use std::io::ErrorKind;
        match self.cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space on its disk",
            ErrorKind::ReadOnlyFilesystem => {
                "mount its disk for writing (a disk with errors is mounted read-only)"
            }
            ErrorKind::PermissionDenied => "let this user write there",
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                "make the folder, or mount the disk that has it"
            }
            _ => "check the disk and the system's log",
        }
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        write!(
            f,
            "the data folder {folder} cannot be written: {}, then start again. Nothing that was acknowledged is lost",
            self.remedy()
        )
    }
}

impl std::error::Error for Unwritable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Writes and removes a small file in a folder, which is made if it is not there.
pub fn check(folder: &Path) -> Result<(), Unwritable> {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        let mut file = std::fs::File::create(&probe)?;
        file.write_all(&[0; PROBE])?;
        file.sync_all()
    });
    let _ = std::fs::remove_file(&probe);
    written.map_err(|cause| Unwritable { folder: folder.to_path_buf(), cause })
}

/// Runs a role whose data lies in `folder`. If it fails or panics and the folder cannot be written, that is said instead.
pub fn guard<T>(folder: &Path, role: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    check(folder)?;
    let (folder, at) = (folder.to_path_buf(), folder.to_path_buf());
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match check(&at) {
        Err(unwritable) => {
            output::error(&anyhow::Error::new(unwritable));
            std::process::exit(i32::from(EXIT));
        }
        Ok(()) => usual(panic),
    }));
    let ended = role();
    drop(std::panic::take_hook());
    ended.map_err(|error| match check(&folder) {
        Err(unwritable) => anyhow::Error::new(unwritable).context(format!("stopped: {error:#}")),
        Ok(()) => error,
    })
}

/// The exit code of an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let of_source = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<voltmesh_edge::Error>().is_some_and(voltmesh_edge::Error::is_of_source)
    };
    let old_trust = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<ProofError>().is_some_and(|error| error.stage == Stage::Authorities)
    };
    if error.chain().any(|cause| cause.is::<Unwritable>() || old_trust(cause)) || error.is::<NotLooked>() {
        EXIT
    } else if error.chain().any(of_source) {
        EXIT_UNREAD
    } else {
        1
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should stop")]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_named_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let good = dir.path().join("new/data");
        check(&good).unwrap();
        assert_eq!(std::fs::read_dir(&good).unwrap().count(), 0, "nothing is left behind");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let bad = file.join("data");
        let error = guard(&bad, || Ok(())).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(bad.to_str().unwrap()) && text.contains("make the folder"), "{text}");
        assert_eq!((exit_code(&error), exit_code(&anyhow::anyhow!("other"))), (EXIT, 1));
        // A role that fails for another reason keeps its error; one whose folder is gone is told that.
        let error = guard(&good, || Err::<(), _>(anyhow::anyhow!("other"))).unwrap_err();
        assert_eq!((error.to_string(), exit_code(&error)), ("other".into(), 1));
        let lost = || {
            std::fs::remove_dir_all(&good).unwrap();
            std::fs::write(&good, "").unwrap();
            Err::<(), _>(anyhow::anyhow!("journal"))
        };
        let error = guard(&good, lost).unwrap_err();
        assert_eq!(exit_code(&error), EXIT);
        assert!(error.to_string().contains("stopped: journal"), "{error}");
    }
}
