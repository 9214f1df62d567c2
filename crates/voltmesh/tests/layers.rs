//! The import table of ARCHITECTURE.md is the law: which of our crates may import which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Table = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    // Asked when the test runs: a build cache may have compiled it in another clone.
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests")).join("../..")
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_lowercase()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Rows `| `crate` | what it is | may import |` of ARCHITECTURE.md. `all` stands for every other crate but the binary.
fn allowed() -> Table {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rows: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            match cells.as_slice() {
                [name, _, imports] if name.starts_with('`') => {
                    Some((name.trim_matches('`').to_owned(), (*imports).to_owned()))
                }
                _ => None,
            }
        })
        .collect();
    let names: BTreeSet<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    rows.into_iter()
        .map(|(name, imports)| {
            let mut set = words(&imports);
            if set.remove("all") {
                set = names.iter().filter(|other| **other != name && *other != "voltmesh").cloned().collect();
            }
            (name, set)
        })
        .collect()
}

/// What each crate's manifest imports, tests included.
fn actual() -> Table {
    let mut table = Table::new();
    for entry in fs::read_dir(root().join("crates")).expect("crates/") {
        let folder = entry.expect("an entry of crates/").path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest in TOML");
        let ours = ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|section| manifest.get(*section)?.as_table())
            .flat_map(|section| section.keys())
            .filter_map(|key| key.strip_prefix("voltmesh-"))
            .filter(|import| *import != name)
            .map(str::to_owned)
            .collect();
        table.insert(name, ours);
    }
    table
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let allowed = allowed();
    for (name, imports) in actual() {
        let may = allowed.get(&name).unwrap_or_else(|| panic!("`{name}` has no row in ARCHITECTURE.md"));
        let extra: Vec<_> = imports.difference(may).collect();
        assert!(extra.is_empty(), "`{name}` imports {extra:?}; ARCHITECTURE.md allows {may:?}");
    }
}

#[test]
fn the_table_lists_only_crates_that_exist() {
    let actual = actual();
    for name in allowed().keys() {
        assert!(actual.contains_key(name), "ARCHITECTURE.md lists `{name}`, which is not in crates/");
    }
}

#[test]
fn roles_never_import_each_other() {
    let roles = ["edge", "fog", "cloud"];
    let actual = actual();
    for role in roles {
        for other in roles {
            assert!(!actual[role].contains(other), "`{role}` imports `{other}`");
        }
    }
}
