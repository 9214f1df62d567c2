//! The user of a process that root has started.

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::{User, geteuid, setgid, setgroups, setuid};

/// Becomes this user for good, with its own group alone; true if it was another one before. Without a name nothing changes.
pub fn become_user(name: Option<&str>) -> Result<bool> {
    let Some(name) = name else {
        if geteuid().is_root() {
            tracing::warn!("this process runs as root: name a user of its own in process.user");
        }
        return Ok(false);
    };
    let found = User::from_name(name).with_context(|| format!("cannot look up the user {name:?}"))?;
    let user = found.with_context(|| format!("process.user: there is no user {name:?} on this machine"))?;
    if user.uid == geteuid() {
        return Ok(false);
    }
    if !geteuid().is_root() {
        bail!("process.user: this process cannot become {name:?}; start it as root, or as that user");
    }
    ensure!(!user.uid.is_root(), "process.user: {name:?} is root itself");
    let failed = || format!("cannot become {name:?}");
    // In this order: whoever is no longer root may not change groups.
    setgroups(&[user.gid]).with_context(failed)?;
    setgid(user.gid).with_context(failed)?;
    setuid(user.uid).with_context(failed)?;
    ensure!(setuid(0.into()).is_err(), "the way back to root is open; this process stops");
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should stop")]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_not_there_is_named() {
        let error = become_user(Some("no-such-user-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-user-here"), "{error}");
        assert!(!become_user(None).unwrap());
        let own = User::from_uid(geteuid()).unwrap().unwrap();
        assert!(!become_user(Some(&own.name)).unwrap(), "who it is already");
    }
}
