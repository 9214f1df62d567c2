//! Which compiler makes WebAssembly here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// What functions are compiled for: no operating system.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler, whose sources of the standard library are a package of their own.
const DEBIAN: &str = "/usr/bin/rustc";

/// A compiler that makes WebAssembly.
pub enum Toolchain {
    /// The one in use has the target's standard library.
    InUse,
    /// This one compiles the standard library from its sources.
    FromSource(PathBuf),
}

impl Toolchain {
    /// The one that a folder's builds would use, else Debian's; the remedy where neither can.
    pub fn find(folder: &Path) -> Result<Self> {
        let in_use = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
        let libraries = asked(&in_use, folder, &["--print", "target-libdir", "--target", TARGET]);
        if libraries.is_some_and(|path| has_core(&path)) {
            return Ok(Self::InUse);
        }
        let mut missing = Vec::new();
        match asked(Path::new(DEBIAN), folder, &["--print", "sysroot"]) {
            None => missing.push("rustc-web"),
            Some(sysroot) if !sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").exists() => {
                missing.push("rust-web-src");
            }
            Some(_) => {}
        }
        if !Path::new("/usr/bin/rust-lld").exists() {
            missing.push("the linker lld of rustc-web's version, such as lld-22");
        }
        if missing.is_empty() {
            return Ok(Self::FromSource(PathBuf::from(DEBIAN)));
        }
        bail!(
            "no compiler here makes WebAssembly: add the target with `rustup target add {TARGET}`, or install from Debian {}",
            missing.join(" and ")
        )
    }

    /// Makes cargo use it, and leave no path of this machine in what it makes.
    pub fn set(&self, cargo: &mut Command, folder: &Path) {
        let mut flags: Vec<String> = std::env::var("RUSTFLAGS").into_iter().collect();
        let home = std::env::var("CARGO_HOME")
            .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
        if let Ok(home) = home {
            flags.push(format!("--remap-path-prefix={home}=/cargo"));
        }
        if let Ok(folder) = folder.canonicalize() {
            flags.push(format!("--remap-path-prefix={}=/function", folder.display()));
        }
        if let Self::FromSource(compiler) = self {
            // Nobody reads a panic's text inside a component: the host sees a trap either way.
            flags.push("-Zunstable-options -Cpanic=immediate-abort".to_owned());
            cargo.env("RUSTC", compiler).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        }
        cargo.env("RUSTFLAGS", flags.join(" "));
    }
}

/// A path that a compiler tells.
fn asked(compiler: &Path, folder: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let told = Command::new(compiler).current_dir(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    told.status.success().then(|| PathBuf::from(text.trim()))
}

/// Whether a folder of libraries has that without which nothing compiles.
fn has_core(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.starts_with("libcore-"))
}
