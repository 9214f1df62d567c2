//! Arguments of `voltmesh pki`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `voltmesh pki …`
#[derive(Debug, Subcommand)]
pub enum Pki {
    /// Makes a development CA.
    #[command(after_help = "Examples:
  voltmesh pki init --one-role --dir pki
  voltmesh pki init --pkcs11 'pkcs11:token=fleet;object=voltmesh-ca?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/voltmesh/pin'")]
    Init {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Refuses a certificate for an id that another role has, such as client:car-1 beside edge:car-1. Without it, that
        /// is only warned of.
        #[arg(long)]
        one_role: bool,
        /// Encrypts the CA's key with the passphrase of this process (`voltmesh pki encrypt --help`).
        #[arg(long)]
        encrypt: bool,
        /// Keeps the CA's key in a token: its place as RFC 7512 writes it. A key of that label is used; there is none, it is
        /// made in the token. The PIN is read from the file that pin-source names, else it is the passphrase of this process.
        /// Needs a program that was built with `--features pkcs11`.
        #[arg(long, value_name = "URI", conflicts_with = "encrypt")]
        pkcs11: Option<String>,
    },
    /// Issues keys and a certificate to `role:id`.
    #[command(after_help = "Examples:
  voltmesh pki issue edge:car-1
  voltmesh pki issue fog:fog-1 --host fog-1.example --host 127.0.0.1
  voltmesh pki issue fog:fog-3 --replace-lost
  voltmesh pki issue operator:op-1 \\
    --pkcs11 'pkcs11:token=op-1;object=voltmesh-operator?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:pin'")]
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
        /// Encrypts the new keys with the passphrase of this process.
        #[arg(long)]
        encrypt: bool,
        /// Of an operator: keeps the signing key in a token, as in `init`. Its place stands in `sign.uri`, which takes the place of
        /// `sign.key` as an operator of the commands of `voltmesh registry`.
        #[arg(long, value_name = "URI", conflicts_with_all = ["encrypt", "replace_lost", "hosts"])]
        pkcs11: Option<String>,
    },
    /// Makes keys where they live, and a request for a certificate, which goes to the CA.
    #[command(after_help = "Examples, on the vehicle, then where the CA is, then on the vehicle again:
  voltmesh pki csr edge:car-1 --keys /etc/voltmesh/keys
  voltmesh pki sign edge:car-1 --request car-1.csr
  voltmesh pki install --keys /etc/voltmesh/keys --certificate tls.crt --ca ca.crt")]
    Csr {
        /// Who, as in `issue`.
        identity: String,
        /// Folder of the keys; made with mode 0700. A TLS key in use stays until `install`; a signing key that is there stays.
        #[arg(long, value_name = "FOLDER")]
        keys: PathBuf,
        /// Encrypts the new keys with the passphrase of this process.
        #[arg(long)]
        encrypt: bool,
    },
    /// Issues a certificate from a request. Of the request nothing but its key is taken: names and rights are the CA's to give.
    #[command(after_help = "Examples:
  voltmesh pki sign edge:car-1 --request car-1.csr
  voltmesh pki sign fog:fog-1 --request fog-1.csr --host fog-1.example --renew")]
    Sign {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Who; the request must ask for this identity alone.
        identity: String,
        /// The file that `csr` wrote.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// DNS names and IP addresses of a server; with --renew, those of the former certificate if none is given.
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// Validity in days.
        #[arg(long, default_value_t = 365)]
        days: u32,
        /// The identity has a certificate in force, which this one replaces.
        #[arg(long)]
        renew: bool,
    },
    /// Puts a certificate to the key that waits for it, after a check that they belong together.
    #[command(after_help = "Example:
  voltmesh pki install --keys /etc/voltmesh/keys --certificate tls.crt --ca ca.crt

A running process takes the new pair over within about a second.")]
    Install {
        /// Folder of the keys, as in `csr`.
        #[arg(long, value_name = "FOLDER")]
        keys: PathBuf,
        /// The certificate that the CA made from the request.
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// The CA's certificate.
        #[arg(long, value_name = "FILE")]
        ca: PathBuf,
    },
    /// Encrypts private keys in place, with the passphrase of this process.
    #[command(after_help = "Example:
  VOLTMESH_PASSPHRASE_FILE=passphrase voltmesh pki encrypt pki/ca.key pki/operator-op-1/sign.key

The passphrase is read from the descriptor that VOLTMESH_PASSPHRASE_FD names, else from the file that
VOLTMESH_PASSPHRASE_FILE names (mode 0600), else from the systemd credential voltmesh-passphrase; at least 12 bytes. Every
command and role that reads an encrypted key finds it there. Keys are PKCS #8 (scrypt, AES-256-CBC), as of openssl pkcs8.")]
    Encrypt {
        /// Files: ca.key, sign.key, tls.key.
        #[arg(required = true, value_name = "FILE")]
        keys: Vec<PathBuf>,
    },
    /// Writes private keys without encryption, in place.
    #[command(after_help = "Example:
  VOLTMESH_PASSPHRASE_FILE=passphrase voltmesh pki decrypt pki/fog-fog-1/tls.key")]
    Decrypt {
        /// Files, as in `encrypt`.
        #[arg(required = true, value_name = "FILE")]
        keys: Vec<PathBuf>,
    },
    /// Makes the signing key that will replace a cloud's, beside it.
    #[command(after_help = "Example, how a cloud's notice key is replaced:
  voltmesh pki next-key --keys pki/cloud-cloud
  voltmesh chain trust --genesis genesis.toml --cloud pki/cloud-cloud/sign.pub.next -o trust.toml
  voltmesh pki use-next-key --keys pki/cloud-cloud --trust trust.toml")]
    NextKey {
        /// Folder of the keys.
        #[arg(long, value_name = "FOLDER")]
        keys: PathBuf,
    },
    /// Puts the signing key in force that `next-key` made, once a trust file names it; restart the cloud then.
    #[command(after_help = "Example:
  voltmesh pki use-next-key --keys pki/cloud-cloud --trust trust.toml")]
    UseNextKey {
        /// Folder of the keys.
        #[arg(long, value_name = "FOLDER")]
        keys: PathBuf,
        /// The trust file that vehicles and verifiers have.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
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
        /// Encrypts the new key with the passphrase of this process. One that replaces an encrypted key is encrypted anyway.
        #[arg(long)]
        encrypt: bool,
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
