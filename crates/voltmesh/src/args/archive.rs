//! Arguments of `voltmesh archive` and `voltmesh query`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The commands about rows that stand twice.
#[derive(Debug, Subcommand)]
pub enum Archive {
    /// Looks for records and batches that stand twice; ends with code 3 if there are any.
    #[command(after_help = "Example:\n  voltmesh archive check --archive archive --json")]
    Check {
        /// The archive: a folder, or a URL such as s3://bucket/prefix (options of the store from the environment).
        #[arg(long, value_name = "FOLDER|URL")]
        archive: String,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Removes rows that stand twice, keeping the one whose proof verifies. The cloud must be stopped.
    #[command(after_help = "Examples:
  voltmesh archive dedup --archive archive --trust trust.toml --dry-run
  voltmesh archive dedup --archive archive --trust trust.toml --json

Each table changes in one commit. A removed row of batches that proves its own entry of the ledger's log moves to the
table copies. What was removed, kept and left is printed. Files of the old snapshot stay for readers until they expire.")]
    Dedup {
        /// The archive: a folder, or a URL such as s3://bucket/prefix (options of the store from the environment).
        #[arg(long, value_name = "FOLDER|URL")]
        archive: String,
        /// The trust file, from `voltmesh chain trust`.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// Only says what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
}

/// Options of `voltmesh query`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh query \"SELECT vehicle, count(*), max(time) FROM records GROUP BY vehicle\" --archive archive")]
pub struct Query {
    /// The statement, which can only read; tables: records, batches, quarantine.
    pub sql: String,
    /// The archive: a folder, or a URL such as s3://bucket/prefix (options of the store from the environment).
    #[arg(long, value_name = "FOLDER|URL", required_unless_present = "config")]
    pub archive: Option<String>,
    /// The cloud's configuration, which names the archive and its store.
    #[arg(long, value_name = "FILE", conflicts_with = "archive")]
    pub config: Option<PathBuf>,
    /// Longest time in seconds, 1 to 86400.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Memory of operators, and as much for the answer, in MiB, 16 to 1048576.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    pub memory: u64,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}
