//! What the process of a role gives up before it does anything else: another user's rights, files outside its folders, system
//! calls that no network service needs.
//!
//! **Provided**: the user ([`become_user`]), Landlock ([`files`]), seccomp ([`calls`]). Each holds for this thread and those that
//! it starts, so a role calls them before its first thread.
//! **Not provided**: what it may connect to; what it may do within its folders; protection of what it has in memory.

mod calls;
mod files;
mod user;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use voltmesh_http::{Confined, Sandbox};

pub use files::named_in;
pub use user::become_user;

/// Confines this thread and those that it starts: `read` and what the system needs may be read, `written` also written.
pub fn enter(mode: Sandbox, read: &[PathBuf], written: &[&Path]) -> Result<Confined> {
    if mode == Sandbox::Off {
        return Ok(Confined::default());
    }
    let landlock = files::confine(read, written);
    let seccomp = calls::refuse();
    for (what, missing) in [
        ("files", landlock.as_ref().err().map(|error| format!("{error:#}"))),
        ("system calls", seccomp.as_ref().err().map(|error| format!("{error:#}"))),
    ] {
        match (missing, mode) {
            (Some(why), Sandbox::Required) => bail!(
                "cannot confine this process to its {what}: {why}; process.sandbox = \"best-effort\" goes on without"
            ),
            (Some(why), _) => tracing::warn!("this process is not confined to its {what}: {why}"),
            (None, _) => {}
        }
    }
    Ok(Confined { landlock: landlock.unwrap_or(0), seccomp_calls: seccomp.unwrap_or(0), user_changed: false })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should stop")]
mod tests {
    use std::fs;
    use std::io::ErrorKind;

    use super::*;

    /// Runs in a thread of its own, since what is given up never comes back.
    fn inside<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(act).join().unwrap()
    }

    #[test]
    fn a_confined_process_opens_nothing_outside_its_folders() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["data", "keys", "other"] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("file"), folder).unwrap();
        }
        std::os::unix::fs::symlink(at("other/file"), at("keys/link")).unwrap();
        let (data, keys, other) = (at("data"), at("keys"), at("other"));
        inside(move || {
            let confined = enter(Sandbox::BestEffort, std::slice::from_ref(&keys), &[&data]).unwrap();
            if confined.landlock == 0 {
                return; // This kernel has none; the next test says what `required` does then.
            }
            let denied =
                |result: std::io::Result<()>| result.unwrap_err().kind() == ErrorKind::PermissionDenied;
            assert_eq!(fs::read_to_string(keys.join("file")).unwrap(), "keys");
            assert!(denied(fs::write(keys.join("file"), "")) && denied(fs::write(keys.join("new"), "")));
            assert!(denied(fs::read(keys.join("link")).map(drop)), "a link leads nowhere else");
            assert!(denied(fs::read(other.join("file")).map(drop)) && denied(fs::read_dir(&other).map(drop)));
            fs::write(data.join("new"), "written").unwrap();
            fs::rename(data.join("new"), data.join("renamed")).unwrap();
            fs::remove_file(data.join("renamed")).unwrap();
            assert!(denied(fs::rename(data.join("file"), other.join("taken"))));
            // Names, time zones and the state of the process are of the system.
            fs::read("/proc/self/status").unwrap();
            fs::read("/etc/passwd").unwrap();
            inside(move || assert!(denied(fs::read(other.join("file")).map(drop)), "threads inherit it"));
        });
    }

    #[test]
    fn a_confined_process_starts_no_other() {
        inside(|| {
            let confined = enter(Sandbox::BestEffort, &[], &[]).unwrap();
            if confined.seccomp_calls == 0 {
                return;
            }
            let error = std::process::Command::new("/bin/true").status().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            assert!(rustix::process::chroot("/").is_err());
        });
    }

    #[test]
    fn off_is_off_and_required_is_all_or_nothing() {
        inside(|| {
            assert_eq!(enter(Sandbox::Off, &[], &[]).unwrap(), Confined::default());
            fs::read(std::env::current_exe().unwrap()).unwrap();
            match enter(Sandbox::Required, &[], &[]) {
                Ok(confined) => assert!(confined.landlock > 0 && confined.seccomp_calls > 30),
                Err(error) => assert!(error.to_string().contains("best-effort"), "{error}"),
            }
        });
    }
}
