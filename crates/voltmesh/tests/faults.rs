//! `docs/faults.md` names tests and counters: they exist.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::fs;
use std::path::Path;

/// All Rust sources below a folder in one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The rows of the one table in a text, without its head.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_test_and_counter_of_the_table_exists() {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..");
    let mut code = String::new();
    sources(&root.join("crates"), &mut code);
    let text = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let (faults, bounds) = text.split_once("\n## ").expect("faults first, then bounds");
    for row in rows(bounds) {
        let [what, _, _, tests] = row[..] else { panic!("a row with other columns: {row:?}") };
        assert!(names(tests).next().is_some(), "{what}: nothing named");
        for test in names(tests) {
            assert!(code.contains(&format!("fn {test}(")), "{what}: no test {test}");
        }
    }
    let rows = rows(faults);
    assert!(rows.len() >= 20, "the table is not where it was");
    for row in rows {
        let [what, _, counters, tests] = row[..] else { panic!("a row with other columns: {row:?}") };
        assert!(names(counters).next().is_some() && names(tests).next().is_some(), "{what}: nothing named");
        for counter in names(counters) {
            // Sessions that this side ended are counted under the reason's name.
            let ended = counter.strip_prefix("ended_").map(|reason| reason.replace('_', " "));
            let known = match &ended {
                Some(reason) => code.to_lowercase().contains(&format!("\"{reason}\"")),
                None => code.contains(&format!("\"{counter}\"")),
            };
            assert!(known, "{what}: no counter {counter}");
        }
        for test in names(tests) {
            assert!(code.contains(&format!("fn {test}(")), "{what}: no test {test}");
        }
    }
}
