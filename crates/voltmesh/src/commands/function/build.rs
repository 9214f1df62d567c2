//! `voltmesh function build`: a component of what cargo, or any other compiler, makes.

mod toolchain;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use voltmesh_function::MAX_COMPONENT_BYTES;
use voltmesh_telemetry::Digest;

use super::project::Project;
use crate::args::FunctionBuild;
use crate::commands::read_limited;
use crate::{Outcome, output};
use toolchain::{TARGET, Toolchain};

/// Most bytes of a core module: that of a component, with what is left out of it, such as names.
const MAX_MODULE_BYTES: usize = 4 * MAX_COMPONENT_BYTES;

/// Begin of the name of the section that carries a module's interface.
const SECTION: &[u8] = b"component-type";

/// Runs the command.
pub fn run(options: &FunctionBuild) -> Result<Outcome> {
    let project = Project::open(&options.folder)?;
    let path = match &options.module {
        Some(path) => path.clone(),
        None => compile(&project.folder)?,
    };
    let module = read_limited(&path, MAX_MODULE_BYTES)?;
    let component =
        component_of(&module).with_context(|| format!("{} makes no component", path.display()))?;
    ensure!(
        component.len() <= MAX_COMPONENT_BYTES,
        "the component has {} bytes, at most {MAX_COMPONENT_BYTES} are taken; use `opt-level = \"s\"`, `lto` and `strip`",
        component.len()
    );
    let kept = project.component_path();
    let said = format!("{} bytes, SHA-256 {}", component.len(), Digest::of(&component));
    if options.check {
        if project.component().is_ok_and(|kept| kept == component) {
            output::line(format!("{}: as built, {said}", kept.display()));
            return Ok(Outcome::Done);
        }
        output::line(format!("{}: differs from what is built: {said}", kept.display()));
        return Ok(Outcome::Wrong);
    }
    std::fs::write(&kept, &component).with_context(|| format!("cannot write {}", kept.display()))?;
    output::line(format!("{}: {said}", kept.display()));
    Ok(Outcome::Done)
}

/// The component of a core module that carries its interface, as `wit-bindgen` leaves it; one that is a component already.
fn component_of(module: &[u8]) -> Result<Vec<u8>> {
    ensure!(module.starts_with(b"\0asm"), "it is no WebAssembly");
    // Bytes 6 and 7 are the layer: 1 is a component.
    if module.get(6..8) == Some(&[1, 0]) {
        return Ok(module.to_vec());
    }
    // What `wit-bindgen` names the section with the interface; without one an empty component would come out.
    let interface = module.windows(SECTION.len()).any(|window| window == SECTION);
    ensure!(
        interface,
        "it does not say which interface it has; build it with wit-bindgen over wit/function.wit"
    );
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.validate(true).module(module)?;
    encoder
        .encode()
        .map_err(|error| error.context("does it export the world `function` of wit/function.wit?"))
}

/// Compiles the folder's package; the core module's path.
fn compile(folder: &Path) -> Result<PathBuf> {
    let toolchain = Toolchain::find(folder)?;
    let mut command = Command::new("cargo");
    command.current_dir(folder).args(["build", "--release", "--target", TARGET]);
    // Diagnostics go to stderr as they come.
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped()).stderr(Stdio::inherit());
    toolchain.set(&mut command, folder);
    let done =
        command.output().context("cannot run cargo; install Rust, or compile by hand and use --module")?;
    ensure!(done.status.success(), "cargo could not compile {}", folder.display());
    let text = String::from_utf8_lossy(&done.stdout);
    module_in(&text).with_context(|| {
        format!("{} makes no module; its Cargo.toml must have `crate-type = [\"cdylib\"]`", folder.display())
    })
}

/// The last WebAssembly module among cargo's messages: dependencies come before what depends on them.
fn module_in(messages: &str) -> Option<PathBuf> {
    let mut files = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            let files = message.get("filenames")?.as_array()?.clone();
            files
                .iter()
                .filter_map(|file| file.as_str())
                .find(|file| file.ends_with(".wasm"))
                .map(PathBuf::from)
        });
    files.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_last_artifact() {
        let messages = r#"{"reason":"compiler-artifact","filenames":["/t/liba.rlib"]}
            not json
            {"reason":"compiler-artifact","filenames":["/t/a.wasm","/t/liba.rlib"]}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(module_in(messages), Some(PathBuf::from("/t/a.wasm")));
        assert_eq!(module_in("{}"), None);
    }

    #[test]
    fn what_is_no_module_of_the_interface_makes_no_component() {
        for wrong in [&b""[..], b"\0as", b"\x7fELF", b"\0asm\x01\0\0\0", b"\0asm\x01\0\0\0rubbish"] {
            assert!(component_of(wrong).is_err(), "{wrong:?}");
        }
    }
}
