//! `voltmesh function new`: a project that works.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use voltmesh_function::{WIT, WIT_VERSION};

use crate::{Outcome, output};

/// Files of a new project; `NAME` and `CRATE` stand for the function's name, `VERSION` for the interface's.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.txt")),
    ("manifest.toml", include_str!("template/manifest.toml.txt")),
    ("README.md", include_str!("template/README.md.txt")),
    ("expected.toml", include_str!("template/expected.toml.txt")),
    (".gitignore", "/target\n"),
    ("src/lib.rs", include_str!("template/src/lib.rs.txt")),
];

/// Runs the command.
pub fn run(name: &str, into: &Path) -> Result<Outcome> {
    let letter = name.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    ensure!(
        letter && rest && name.len() <= 64 && !name.ends_with('-'),
        "{name:?} is no function's name; want 1 to 64 lower case letters, digits and hyphens, a letter first"
    );
    let folder = into.join(name);
    ensure!(!folder.exists(), "{} is there already; choose another name or remove it", folder.display());
    let write = |path: &str, text: &str| -> Result<()> {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for (path, text) in FILES {
        let text = text.replace("CRATE", &name.replace('-', "_")).replace("NAME", name);
        write(path, &text.replace("VERSION", &WIT_VERSION.to_string()))?;
    }
    write("wit/function.wit", WIT)?;
    write("data/warm-up.csv", &recording())?;
    output::line(format!("{}: a function that works; read its README.md", folder.display()));
    Ok(Outcome::Done)
}

/// Ten minutes of a pack of four groups that is discharged, warms up, and cools down again.
fn recording() -> String {
    let mut text =
        "time_s,pack_voltage_v,current_a,cell_1_v,cell_2_v,cell_3_v,cell_4_v,temp_1_c,temp_2_c\n".to_owned();
    for second in 0..600_u32 {
        let s = f64::from(second);
        let (current_a, warm_c) = match second {
            0..=299 => (-60.0, 30.0 + 16.0 * s / 300.0),
            _ => (0.0, 46.0 - 12.0 * (s - 300.0) / 300.0),
        };
        let cell_v = 3.75 - 0.05 * s.min(300.0) / 300.0 + current_a * 0.001;
        let cells: Vec<String> = (0..4).map(|n| format!("{:.4}", cell_v + 0.001 * f64::from(n))).collect();
        let pack_v = 4.0 * cell_v + 0.006;
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "{second},{pack_v:.3},{current_a:.1},{},{warm_c:.2},{:.2}",
            cells.join(","),
            warm_c - 1.5
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_function::Manifest;

    #[test]
    fn a_new_project_has_a_manifest_that_is_right_and_is_not_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(run("hot-pack", folder.path()).expect("made"), Outcome::Done);
        let manifest = fs::read_to_string(folder.path().join("hot-pack/manifest.toml")).expect("there");
        assert_eq!(Manifest::from_toml(&manifest).expect("right").name, "hot-pack");
        assert_eq!(fs::read_to_string(folder.path().join("hot-pack/wit/function.wit")).expect("there"), WIT);
        assert!(run("hot-pack", folder.path()).is_err());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["", "Hot", "../hot", "hot/pack", "-hot", "hot-", "1hot", "hot_pack", &"h".repeat(65)] {
            assert!(run(name, folder.path()).is_err(), "{name}");
        }
    }
}
