//! Arguments of `voltmesh pki`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `voltmesh pki …`
#[derive(Debug, Subcommand)]
pub enum Pki {
    /// Makes a development CA.
    #[command(after_help = "Example:\n  voltmesh pki init --one-role --dir pki")]
    Init {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Refuses a certificate for an id that another role has, such as client:car-1 beside edge:car-1. Without it, that
        /// is only warned of.
        #[arg(long)]
        one_role: bool,
    },
    /// Issues keys and a certificate to `role:id`.
    #[command(after_help = "Examples:
  voltmesh pki issue edge:car-1
  voltmesh pki issue fog:fog-1 --host fog-1.example --host 127.0.0.1
  voltmesh pki issue fog:fog-3 --replace-lost")]
    Issue {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Who: edge:ID, fog:ID, cloud:ID, client:ID or operator:ID.
        identity: String,
        /// DNS names and IP addresses of a server.
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// In place of keys that are lost or in other hands: revokes the certificates in force and makes new keys, for the
        /// same hosts. The former `sign.pub` stays as `sign.old.pub`.
        #[arg(long, conflicts_with = "hosts")]
        replace_lost: bool,
        /// Validity in days.
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Issues a new certificate with a new TLS key; the signing key stays.
    Renew {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Who, as in `issue`.
        identity: String,
        /// Validity in days.
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Revokes a certificate; running nodes that watch this folder's crl.pem drop its sessions.
    Revoke {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Who, as in `issue`.
        identity: String,
    },
    /// Signs the revocation list anew, for a year: an older one may be past its time.
    RenewCrl(PkiDir),
    /// Lists certificates with their validity and signing keys.
    #[command(
        after_help = "Examples:\n  voltmesh pki show --dir pki --json\n  voltmesh pki show --dir pki --config"
    )]
    Show {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Prints instead what configurations want to know of fog nodes and cloud: keys and addresses, as TOML, with the first
        /// host of each certificate and the default ports.
        #[arg(long, conflicts_with = "json")]
        config: bool,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
}

/// Where the development CA lives.
#[derive(Debug, Args)]
pub struct PkiDir {
    /// The PKI folder.
    #[arg(long, default_value = "pki", value_name = "FOLDER")]
    pub dir: PathBuf,
}
