//! Arguments of `voltmesh registry`, and how a ledger elects.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::chain::FogArgs;

/// `voltmesh registry …`
#[derive(Debug, Subcommand)]
pub enum Registry {
    /// Writes a genesis and the trust file that starts from it.
    Genesis(GenesisArgs),
    /// Writes the opening of a new commitment for a vehicle's signing key: a random salt and the key.
    Opening {
        /// The vehicle's `sign.pub`.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Where to write.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Enrols a vehicle's signing key.
    #[command(after_help = "Example:
  voltmesh registry enrol car-1 --opening opening.toml --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key --fog 127.0.0.1:9100")]
    Enrol {
        /// The vehicle.
        vehicle: String,
        /// The opening of its commitment: salt and public key.
        #[arg(long, value_name = "FILE")]
        opening: PathBuf,
        /// The CA's folder: refuses an id for which a role other than vehicle or fog node, or both, have a certificate in force.
        #[arg(long, value_name = "FOLDER")]
        pki: Option<PathBuf>,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Enrols a fog node's signing key, so that the records of foreign clients that it attests count.
    #[command(after_help = "Example:
  voltmesh registry enrol-fog fog-1 --genesis genesis.toml --operator pki/operator-op-1/sign.key \\
    --operator pki/operator-op-2/sign.key --fog 127.0.0.1:9100")]
    EnrolFog {
        /// The fog node. It is asked itself, at --fog, for the opening of its commitment.
        id: String,
        /// The CA's folder: refuses an id for which another role has a certificate in force.
        #[arg(long, value_name = "FOLDER")]
        pki: Option<PathBuf>,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Revokes a vehicle's signing key from the next block on.
    Revoke {
        /// The vehicle.
        vehicle: String,
        /// The opening of its commitment.
        #[arg(long, value_name = "FILE")]
        opening: PathBuf,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Replaces a vehicle's signing key, opening and certificate in one step; its agent must not run.
    RotateVehicle(RotateVehicle),
    /// Replaces a vehicle's key on the ledger alone, where its new keys are made elsewhere.
    #[command(after_help = "Example, on the vehicle, where the operators are, and on the vehicle again:
  voltmesh pki next-key --keys keys
  voltmesh registry opening --key keys/sign.pub.next -o new-opening.toml
  voltmesh registry rotate-opening car-1 --opening opening.toml --new-opening new-opening.toml --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key
  mv keys/sign.key.next keys/sign.key && mv keys/sign.pub.next keys/sign.pub && mv new-opening.toml opening.toml")]
    RotateOpening {
        /// The vehicle.
        vehicle: String,
        /// The opening of the commitment that counts until now.
        #[arg(long, value_name = "FILE")]
        opening: PathBuf,
        /// The opening of the commitment that counts from then on.
        #[arg(long, value_name = "FILE")]
        new_opening: PathBuf,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Replaces the operators, and how many of them must sign, from the next decision on.
    SetOperators(SetOperators),
    /// Admits an authority: it serves from the next-but-one epoch on, at first on probation.
    #[command(after_help = "Example:
  voltmesh registry admit-authority pki/fog-fog-5/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    AdmitAuthority {
        /// Its `sign.pub`, or its key in 64 hex digits. A key that was an authority once never returns.
        key: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Removes an authority for good: it serves until the end of the next epoch. Four must remain.
    #[command(after_help = "Example:
  voltmesh registry remove-authority pki/fog-fog-5/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    RemoveAuthority {
        /// Its `sign.pub`, or its key in 64 hex digits.
        key: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Replaces an authority's key, as after the loss of its disk: the new one serves from the next-but-one epoch on.
    #[command(after_help = "Example:
  voltmesh registry rotate-authority pki-old/fog-fog-3/sign.pub pki/fog-fog-3/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    RotateAuthority {
        /// The old key: `sign.pub` or 64 hex digits.
        old: AuthorityKey,
        /// The new key: `sign.pub` or 64 hex digits.
        new: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Lets a convicted authority return: from the next-but-one epoch on, without a score and on probation.
    #[command(after_help = "Example:
  voltmesh chain evidence
  voltmesh registry pardon-authority pki/fog-fog-3/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    PardonAuthority {
        /// Its `sign.pub`, or its key in 64 hex digits as `voltmesh chain evidence` shows it.
        key: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Admits a controller: it may take a term, in which its decisions and leases count.
    #[command(after_help = "Example:
  voltmesh registry admit-controller pki/controller-ctl-1/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    AdmitController {
        /// Its `sign.pub`, or its key in 64 hex digits. A key that was a controller once never returns.
        key: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Removes a controller for good, from the next block on; if it holds the term, another may take the next one.
    #[command(after_help = "Example:
  voltmesh registry remove-controller pki/controller-ctl-1/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    RemoveController {
        /// Its `sign.pub`, or its key in 64 hex digits.
        key: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Releases a function: fog nodes may run this component, signed by this publisher.
    #[command(after_help = "Example:
  voltmesh registry publish-function balancing.wasm --publisher pki/publisher-acme/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    PublishFunction {
        /// The component's file, or its SHA-256 in 64 hex digits. One that was released once is not released again.
        component: Component,
        /// The publisher's `sign.pub`, or its key in 64 hex digits.
        #[arg(long, value_name = "KEY")]
        publisher: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Withdraws a function for good: from the next block on no fog node may run this component.
    #[command(after_help = "Example:
  voltmesh registry withdraw-function balancing.wasm --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    WithdrawFunction {
        /// The component's file, or its SHA-256 in 64 hex digits.
        component: Component,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Replaces a committee that has stalled: other authorities vote after the newest final block, for two epochs.
    ReplaceCommittee(ReplaceCommittee),
}

/// Options of `voltmesh registry replace-committee`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh registry replace-committee --genesis genesis.toml --operator pki/operator-op-1/sign.key \\
    --operator pki/operator-op-2/sign.key --fog 127.0.0.1:9100 --fog 127.0.0.1:9101

It is in force once more than two thirds of all authorities have promised to follow it, which they do when no block has
become final for 10 s. Name as many fog nodes as can be reached: the decree is about the newest block of the furthest.")]
pub struct ReplaceCommittee {
    /// The genesis file; it names the chain.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// Operators' keys: `sign.key` (mode 0600), or the place of a key in a token (`sign.uri` or a `pkcs11:` URI); as many as the
    /// ledger's threshold asks for.
    #[arg(long = "operator", value_name = "FILE", required = true)]
    pub operators: Vec<PathBuf>,
    /// Who votes: `sign.pub` or 64 hex digits, 3 f + 1 of them (default: the best by score that can be reached, as many as
    /// are elected).
    #[arg(long = "voter", value_name = "KEY")]
    pub voters: Vec<AuthorityKey>,
    /// HTTP interfaces of fog nodes.
    #[arg(long = "fog", value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    pub fogs: Vec<std::net::SocketAddr>,
}

/// Options of `voltmesh registry rotate-vehicle`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh edge --config edge.toml --drain
  voltmesh registry rotate-vehicle --config edge.toml --pki pki --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key --fog 127.0.0.1:9100

What the old key signed counts if it was anchored before the block that it names. If the command is interrupted, repeat it.")]
pub struct RotateVehicle {
    /// The vehicle's configuration: names its keys, opening and spool.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The CA's folder, if the vehicle's keys are in it: also issues a new certificate and revokes the former ones.
    #[arg(long, value_name = "FOLDER")]
    pub pki: Option<PathBuf>,
    /// Validity of the new certificate in days.
    #[arg(long, default_value_t = 365)]
    pub days: u32,
    /// Rotates although batches of the old key are not archived; those that no fog node has anchored never count.
    #[arg(long)]
    pub leave_waiting: bool,
    /// Who signs and where it goes.
    #[command(flatten)]
    pub submit: Submit,
}

/// Options of `voltmesh registry set-operators`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh registry set-operators --key pki/operator-op-1/sign.pub --key pki/operator-op-4/sign.pub --threshold 2 \\
    --genesis genesis.toml --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key

Name all operators, those who stay as well. If fewer than the threshold still have their keys, nothing can be decided any more.")]
pub struct SetOperators {
    /// An operator from then on: `sign.pub` or the key in 64 hex digits; 1 to 16 of them.
    #[arg(long = "key", value_name = "KEY", required = true)]
    pub keys: Vec<AuthorityKey>,
    /// How many of them must sign, 1 to all.
    #[arg(long)]
    pub threshold: u8,
    /// Who signs this decision and where it goes.
    #[command(flatten)]
    pub submit: Submit,
}

/// How an authority is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorityKey {
    /// By its key.
    Hex(String),
    /// By the file that holds it.
    File(PathBuf),
}

impl std::str::FromStr for AuthorityKey {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(if is_key {
            AuthorityKey::Hex(text.to_ascii_lowercase())
        } else {
            AuthorityKey::File(text.into())
        })
    }
}

/// How a function's component is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// By its SHA-256.
    Hex([u8; 32]),
    /// By its file.
    File(PathBuf),
}

impl std::str::FromStr for Component {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digest = [0; 32];
        Ok(match hex::decode_to_slice(text, &mut digest) {
            Ok(()) => Component::Hex(digest),
            Err(_) => Component::File(text.into()),
        })
    }
}

/// How leaders and voters are elected; fixed with the genesis.
#[derive(Debug, Clone, Copy, Args)]
pub struct ElectionArgs {
    /// Views in a row that one leader has, 1 to 64.
    #[arg(long, default_value_t = 1, value_name = "VIEWS", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub term_length: u32,
    /// How many authorities vote, elected by quality of service: 4, 7, 10, 13 and so on (default: all vote).
    #[arg(long, value_name = "K")]
    pub committee: Option<u8>,
}

impl Default for ElectionArgs {
    fn default() -> Self {
        Self { term_length: 1, committee: None }
    }
}

/// A chain's beginning.
#[derive(Debug, Args)]
pub struct GenesisArgs {
    /// The chain's name.
    #[arg(long)]
    pub chain: String,
    /// Each fog node's `sign.pub`; at least four.
    #[arg(long = "authority", value_name = "FILE", required = true)]
    pub authorities: Vec<PathBuf>,
    /// Each operator's `sign.pub`.
    #[arg(long = "operator", value_name = "FILE", required = true)]
    pub operators: Vec<PathBuf>,
    /// How many operators must sign.
    #[arg(long)]
    pub threshold: u8,
    /// Blocks in an epoch.
    #[arg(long, default_value_t = 1000)]
    pub epoch_length: u64,
    /// How leaders and voters are elected.
    #[command(flatten)]
    pub election: ElectionArgs,
    /// The cloud's `sign.pub`, for the trust file.
    #[arg(long, value_name = "FILE")]
    pub cloud: Option<PathBuf>,
    /// Where to write the genesis.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Where to write the trust file.
    #[arg(long, value_name = "FILE")]
    pub trust: PathBuf,
}

/// Who signs a registry transaction, and through which fog node it goes to the ledger.
#[derive(Debug, Args)]
pub struct Submit {
    /// The genesis file; it names the chain.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// Operators' keys: `sign.key` (mode 0600), or the place of a key in a token (`sign.uri` or a `pkcs11:` URI); as many as the
    /// ledger's threshold asks for.
    #[arg(long = "operator", value_name = "FILE", required = true)]
    pub operators: Vec<PathBuf>,
    /// Which fog node.
    #[command(flatten)]
    pub fog: FogArgs,
}

#[cfg(test)]
mod tests {
    use super::{AuthorityKey, Component};

    #[test]
    fn components_are_named_by_digest_or_file() {
        assert_eq!("0a".repeat(32).parse(), Ok(Component::Hex([10; 32])));
        assert_eq!("0a.wasm".parse(), Ok(Component::File("0a.wasm".into())));
    }

    #[test]
    fn authorities_are_named_by_key_or_file() {
        let key = "aB".repeat(32);
        assert_eq!(key.parse(), Ok(AuthorityKey::Hex(key.to_lowercase())));
        assert_eq!("pki/sign.pub".parse(), Ok(AuthorityKey::File("pki/sign.pub".into())));
    }
}
