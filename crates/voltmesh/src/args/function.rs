//! Arguments of `voltmesh function`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::function_deploy::{FunctionDeploy, FunctionLogs, FunctionPublish, FunctionUpgrade};
use super::{AskController, twin::TwinPack};

/// `voltmesh function …`
#[derive(Debug, Subcommand)]
pub enum Function {
    /// Makes a project of a function in Rust that works: code with a test, manifest, interface, a recording, what is expected of it.
    #[command(after_help = "Example:
  voltmesh function new hot-pack

The name has lower case letters, digits and hyphens, and is the folder's as well.")]
    New {
        /// Name of the function.
        name: String,
        /// Folder in which the project's folder is made.
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        into: PathBuf,
    },
    /// Builds a function: a core module by cargo, and a component of it, which is kept beside the manifest.
    Build(FunctionBuild),
    /// Replays recordings through a function in the host that runs it on a fog node, and compares what it says with what is expected.
    Test(FunctionTest),
    /// Signs a function's manifest and component by a publisher's key: what is deployed is this file.
    Sign(FunctionSign),
    /// Shows a function: its manifest, digest and size, and of a signed one who has published it.
    Show(FunctionShow),
    /// Gives signed releases to a controller, which places them where its policy or a deployment asks for them.
    Publish(FunctionPublish),
    /// Withdraws a release: where it runs, the newest other one takes its place, or the function ends.
    #[command(after_help = "Example:
  voltmesh function withdraw hot-pack-1.0.1.vmf")]
    Withdraw {
        /// The signed release, or the SHA-256 of its component.
        #[arg(value_name = "FILE|DIGEST")]
        release: String,
        /// Which controller.
        #[command(flatten)]
        ask: AskController,
    },
    /// Has a function run beyond the policy, or otherwise than it says.
    Deploy(FunctionDeploy),
    /// Removes a deployment: what the policy says counts again.
    #[command(after_help = "Example:
  voltmesh function undeploy hot-pack")]
    Undeploy {
        /// Name of the deployment.
        name: String,
        /// Which controller.
        #[command(flatten)]
        ask: AskController,
    },
    /// Publishes a new release of a function and waits until it runs wherever the one before it ran.
    Upgrade(FunctionUpgrade),
    /// Releases, deployments, and which function runs for which vehicle on which fog node.
    #[command(after_help = "Example:
  voltmesh function list --controller 127.0.0.1:8095 --json")]
    List(AskController),
    /// What functions said and what vehicles answered, the newest last.
    Logs(FunctionLogs),
}

/// Options of `voltmesh function build`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh function build
  voltmesh function build functions/plating-guard --check
  voltmesh function build my-function --module target/wasm32-unknown-unknown/release/my_function.wasm

cargo compiles for wasm32-unknown-unknown: by the toolchain in use where it has that target (`rustup target add \
wasm32-unknown-unknown`), else by Debian's rustc-web with rust-web-src and lld-22, whose standard library is compiled as well.")]
pub struct FunctionBuild {
    /// The function's folder, with manifest.toml and Cargo.toml.
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,
    /// A core module that is compiled already, in whatever language; cargo is not run.
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
    /// Writes nothing; exits with 3 where the component that is there is another one.
    #[arg(long)]
    pub check: bool,
}

/// Options of `voltmesh function test`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh function test hot-pack --data hot-pack/data/warm-up.csv --cells 4
  voltmesh function test functions/plating-guard --config '{\"capacity_ah\": 60}' --data cold.csv.gz --json

Recordings are those of `voltmesh twin detect`; each is a vehicle of its own, with a twin whose reports the function gets once a
second. A command is answered as applied with the next second; recordings do not obey. Exits with 1 where what was said differs
from the expectations.")]
pub struct FunctionTest {
    /// The function's folder, with manifest.toml and the component.
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,
    /// Recordings.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Configuration: JSON, or a file of it (default: the expectations' `configuration`, else what the schema has as defaults).
    #[arg(long, value_name = "JSON")]
    pub config: Option<String>,
    /// NAME=FROM..TO: an operating condition that is the case between two times in s of each recording; may be repeated.
    #[arg(long = "condition", value_name = "CONDITION")]
    pub conditions: Vec<ConditionSpan>,
    /// What is expected (default: expected.toml in the folder, where there is one).
    #[arg(long, value_name = "FILE")]
    pub expected: Option<PathBuf>,
    /// Writes what was said as what is expected.
    #[arg(long)]
    pub accept: bool,
    /// Which pack the twin is of.
    #[command(flatten)]
    pub pack: TwinPack,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}

/// Operating condition between two times of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionSpan {
    /// Name of the condition.
    pub name: String,
    /// When it begins, in s.
    pub from_s: f64,
    /// When it ends, in s.
    pub to_s: f64,
}

impl FromStr for ConditionSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no condition; want NAME=FROM..TO, such as over-temperature=60..300");
        let (name, span) = text.split_once('=').ok_or_else(wrong)?;
        let (from, to) = span.split_once("..").ok_or_else(wrong)?;
        let seconds =
            |text: &str| text.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0).ok_or_else(wrong);
        let span = Self { name: name.to_owned(), from_s: seconds(from)?, to_s: seconds(to)? };
        if span.name.is_empty() || span.from_s >= span.to_s { Err(wrong()) } else { Ok(span) }
    }
}

/// Options of `voltmesh function sign`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh function sign hot-pack --key pki/operator-op-1/sign.key
  voltmesh function sign plating-guard --key pki/operator-op-1/sign.key

Fog nodes run what is signed by a key that they are told to trust, and nothing else.")]
pub struct FunctionSign {
    /// The function's folder, with manifest.toml and the component; or the name of a function that is shipped, such as
    /// cell-balancing, charging-control, down-sampling, plating-guard, soc-soh-estimation, temperature-regulation.
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,
    /// The publisher's private key (PEM file with mode 0600), such as an operator's.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Name of the publisher (default: the name of the key's folder).
    #[arg(long, value_name = "NAME")]
    pub publisher: Option<String>,
    /// The signed release (default: NAME-RELEASE.vmf in the folder).
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `voltmesh function show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh function show functions/cell-balancing
  voltmesh function show hot-pack/hot-pack-1.0.0.vmf --key pki/operator-op-1/sign.pub

Exits with 3 where a signed release is refused, and with 4 where no key is named by which it could be checked.")]
pub struct FunctionShow {
    /// A function's folder, or a signed release.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Public keys of publishers (`sign.pub`) of whom a signed release may be.
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let right = ConditionSpan { name: "imbalance".into(), from_s: 60.0, to_s: 300.5 };
        assert_eq!("imbalance=60..300.5".parse(), Ok(right));
        for wrong in [
            "",
            "imbalance",
            "imbalance=60",
            "imbalance=60..50",
            "=1..2",
            "imbalance=-1..2",
            "a=x..y",
            "a=0..NaN",
        ] {
            assert!(wrong.parse::<ConditionSpan>().is_err(), "{wrong}");
        }
    }
}
