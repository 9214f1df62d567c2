//! The import table of ARCHITECTURE.md is the law: which of our crates may import which. Inside a crate no modules import each
//! other in a circle, and files stay short.

#[path = "layers/modules.rs"]
mod modules;
#[path = "layers/standing.rs"]
mod standing;

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

/// Whether a cell holds nothing but a crate's name in backticks; rooms inside a crate end in a slash.
fn is_crate(cell: &str) -> bool {
    cell.len() > 2
        && cell.starts_with('`')
        && cell.ends_with('`')
        && cell.trim_matches('`').chars().all(|c| c.is_ascii_lowercase())
}

/// Rows `| `crate` | what it is | may import |` of ARCHITECTURE.md. `all` stands for every other crate but the binary.
fn allowed() -> Table {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rows: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            match cells.as_slice() {
                [name, _, imports] if is_crate(name) => {
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
            .filter_map(|section| Some((*section, manifest.get(*section)?.as_table()?)))
            .flat_map(|(section, imports)| imports.keys().map(move |key| (section, key)))
            .filter_map(|(section, key)| Some((section, key.strip_prefix("voltmesh-")?)))
            // Every crate's tests may use it; what is shipped may not.
            .filter(|import| *import != ("dev-dependencies", "testing"))
            .map(|(_, import)| import)
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

/// Names of our crates.
fn crates() -> Vec<String> {
    actual().into_keys().collect()
}

#[test]
fn no_modules_of_a_crate_import_each_other_in_a_circle() {
    let name = |module: &String| if module.is_empty() { "crate".to_owned() } else { module.clone() };
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name_of_crate in crates() {
        let graph = modules::graph(&root().join("crates").join(&name_of_crate).join("src"));
        for circle in modules::circles(&graph) {
            let circle: BTreeSet<String> = circle.iter().map(name).collect();
            let listed = standing::CIRCLES.iter().any(|(listed, _, modules)| {
                *listed == name_of_crate && circle.iter().all(|module| modules.contains(&module.as_str()))
            });
            if !listed {
                wrong.push(format!("`{name_of_crate}` has a circle of imports: {circle:?}. Move what two of them need into a third"));
            }
            seen.entry(name_of_crate.clone()).or_default().extend(circle);
        }
    }
    for (name, _, modules) in standing::CIRCLES {
        let open: Vec<_> = modules
            .iter()
            .filter(|module| !seen.get(*name).is_some_and(|seen| seen.contains(**module)))
            .collect();
        if !open.is_empty() {
            wrong.push(format!(
                "`{name}`: {open:?} are in no circle any more; strike them from layers/standing.rs"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_of_modules_is_found() {
    let check = |files: &[(&str, &str)], expected: &[&[&str]]| {
        let files = files.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned())).collect();
        let found: Vec<Vec<String>> = modules::circles(&modules::graph_of(files))
            .into_iter()
            .map(|circle| circle.into_iter().collect())
            .collect();
        assert_eq!(found, expected);
    };
    let root = ("", "mod a; mod b; pub use b::B;");
    check(&[root, ("a", "use crate::b::B;"), ("b", "use super::a::A;")], &[&["a", "b"]]);
    check(&[root, ("a", "use crate::{b::B, c};"), ("b", "pub struct B;")], &[]);
    check(&[root, ("a", "use crate::B;"), ("b", "fn f() { crate::a::g() }")], &[&["a", "b"]]);
    check(&[root, ("a", "use crate::b;"), ("b", "#[cfg(test)] mod tests { use crate::a; }")], &[]);
    check(&[root, ("a", "use crate::b;"), ("b", "// use crate::a;\nconst A: &str = \"crate::a::A\";")], &[]);
    check(
        &[("", "mod a;"), ("a", "mod c; use c::C; pub struct A;"), ("a::c", "use super::A;")],
        &[&["a", "a::c"]],
    );
    check(&[("", "mod a;"), ("a", "mod c; pub use c::C; pub struct A;"), ("a::c", "use super::A;")], &[]);
}

/// Most lines of a file: what can be read at one sitting.
const MAX_LINES: usize = 400;

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn files_are_short_or_listed_with_a_reason() {
    let crates = root().join("crates");
    let mut files = Vec::new();
    sources(&crates, &mut files);
    let long: BTreeSet<String> = files
        .iter()
        .filter(|path| fs::read_to_string(path).expect("a source file").lines().count() > MAX_LINES)
        .map(|path| path.strip_prefix(&crates).expect("inside crates/").to_string_lossy().replace('\\', "/"))
        .collect();
    let listed: BTreeSet<String> = standing::LONG_FILES
        .iter()
        .flat_map(|(_, files)| files.iter().map(|file| (*file).to_owned()))
        .collect();
    let new: Vec<_> = long.difference(&listed).collect();
    assert!(
        new.is_empty(),
        "more than {MAX_LINES} lines: {new:?}. Split them by idea, or give a reason in layers/standing.rs"
    );
    let short: Vec<_> = listed.difference(&long).collect();
    assert!(short.is_empty(), "at most {MAX_LINES} lines: {short:?}. Strike them from layers/standing.rs");
}

/// Crates with unsafe code, each with its argument beside it: vector instructions that hash sixteen records at once.
const UNSAFE: [&str; 1] = ["telemetry"];

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    for name in crates() {
        let folder = root().join("crates").join(&name);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest in TOML");
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        assert_eq!(inherits, Some(true), "`{name}` wants `[lints] workspace = true`");
        let lib = fs::read_to_string(folder.join("src/lib.rs")).expect("a library");
        let forbids = lib.contains("#![forbid(unsafe_code)]");
        assert_eq!(
            forbids,
            !UNSAFE.contains(&name.as_str()),
            "`{name}`: forbid unsafe code, or list the crate"
        );
    }
}

/// A newcomer's first run is green for a reason: which cases a property test draws does not depend on chance, unless asked.
#[test]
fn default_runs_draw_fixed_seeds() {
    let seed = std::env::var("PROPTEST_RNG_SEED").expect(".cargo/config.toml states it");
    assert!(seed.parse::<u64>().is_ok(), "{seed}");
}
