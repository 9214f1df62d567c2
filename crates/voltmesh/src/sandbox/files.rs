//! Files: what a role may read and write, by Landlock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use landlock::{
    ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
    path_beneath_rules,
};

/// What is asked of the kernel: files since Linux 5.13, moving between folders, cutting and device calls, and, since 6.12, no
/// signals and abstract sockets to the outside. An older kernel does its part.
const RIGHTS: ABI = ABI::V6;

/// What the system's libraries read: shared libraries, names and addresses, time zones, certificates of public CAs, the state of
/// processes and of the machine.
const SYSTEM: [&str; 9] =
    ["/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/run/systemd/resolve", "/run/nscd", "/dev/urandom"];

/// Devices that are written.
const DEVICES: [&str; 1] = ["/dev/null"];

/// Largest configuration file that is looked through: as large as a role reads.
const MAX_CONFIG: usize = 1 << 20;

/// Confines this thread. Returns how much of [`RIGHTS`] is enforced: 2 all, 1 the part that the kernel has.
pub fn confine(read: &[PathBuf], written: &[&Path]) -> Result<u64> {
    let all = AccessFs::from_all(RIGHTS);
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let system = SYSTEM.iter().map(Path::new);
    let rules = Ruleset::default()
        .handle_access(all)?
        .scope(Scope::from_all(RIGHTS))?
        .create()
        .context("Landlock cannot be set up")?
        .add_rules(path_beneath_rules(system, reading))?
        .add_rules(path_beneath_rules(read, reading))?
        .add_rules(path_beneath_rules(DEVICES, reading | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(written, all & !AccessFs::Execute))?;
    match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Ok(2),
        RulesetStatus::PartiallyEnforced => Ok(1),
        RulesetStatus::NotEnforced => bail!("this kernel has no Landlock, or it is switched off"),
    }
}

/// Folders that a configuration file names, itself included: of each text in it that is the path of something, the folder, or
/// the one that a file is in, since files are replaced by rename. One rule for all keys, so that none is forgotten.
pub fn named_in(config: &Path) -> Result<Vec<PathBuf>> {
    let base = match config.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let text = crate::commands::read_text(config, MAX_CONFIG)?;
    let table: toml::Table =
        toml::from_str(&text).with_context(|| format!("{} is no configuration", config.display()))?;
    let mut folders = BTreeSet::from([base.to_path_buf()]);
    texts(&toml::Value::Table(table), &mut |text| {
        let path = base.join(text);
        if path.is_dir() {
            folders.insert(path);
        } else if let Some(folder) = path.parent().filter(|folder| folder.is_dir()) {
            folders.insert(folder.to_path_buf());
        }
    });
    Ok(folders.into_iter().collect())
}

fn texts(value: &toml::Value, tell: &mut impl FnMut(&str)) {
    match value {
        toml::Value::String(text) => tell(text),
        toml::Value::Array(values) => values.iter().for_each(|value| texts(value, tell)),
        toml::Value::Table(table) => table.values().for_each(|value| texts(value, tell)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should stop")]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_a_configuration_is_found() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["etc", "keys", "feeds", "data", "logs"] {
            std::fs::create_dir(at(folder)).unwrap();
        }
        std::fs::write(at("keys/crl.pem"), "").unwrap();
        let text = "data = '../data'\ncrl = '../keys/crl.pem'\nfogs = ['fog-1.example:8883']\n[a.b]\nfiles = ['../logs/*.csv']\n\
                    feed = '../feeds/not-yet.csv'\nlevel = 'warn'\nurl = 's3://bucket/prefix'\nsize = 7\n";
        std::fs::write(at("etc/role.toml"), text).unwrap();
        let found = named_in(&at("etc/role.toml")).unwrap();
        let canonical: BTreeSet<_> = found.iter().map(|path| path.canonicalize().unwrap()).collect();
        let wanted = ["data", "etc", "feeds", "keys", "logs"].map(|name| at(name).canonicalize().unwrap());
        assert_eq!(canonical, BTreeSet::from(wanted));
    }
}
