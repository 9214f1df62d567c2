//! `voltmesh registry rotate-vehicle`: a vehicle's signing key, its opening and its certificate replaced in one step.
//!
//! What is needed to finish is on disk before the operators' decision leaves, and is removed when all files are in place: the
//! command may be repeated after an interruption anywhere, and then goes on. Until the decision is final the old key and
//! opening are in force.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use commonware_runtime::{Runner as _, tokio};
use serde::{Deserialize, Serialize};
use voltmesh_control::Opening;
use voltmesh_identity::{
    Credentials, Identity, Pki, Role, make_next_signing_key, read_signing_key, use_next_signing_key,
    write_private,
};
use voltmesh_ledger::{Action, Transaction, commitment};

use super::decide::{Decider, decide};
use super::openings::{MAX_SMALL_FILE, OpeningFile, commitment_of, read_opening, salt, write_opening};
use crate::commands::public_key::raw_key;
use crate::commands::{audit_log, block_on, read_text};
use crate::{args, output};

/// File beside a vehicle's keys while they are being replaced.
const UNDER_WAY: &str = "rotation.toml";

/// A rotation that has begun.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnderWay {
    old: OpeningFile,
    new: OpeningFile,
    /// The decision that was offered last, and a height below the block that may hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offered: Option<Offered>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offered {
    decision: String,
    after: u64,
}

/// Runs `rotate-vehicle`.
pub fn vehicle(options: &args::RotateVehicle) -> Result<()> {
    let config = voltmesh_edge::Config::load(&options.config)?;
    let held = voltmesh_edge::hold(&config)?;
    check_nothing_waits(&config, &held, options.leave_waiting)?;
    let identity = Credentials::load(&config.credentials)?.own.identity;
    ensure!(identity.role == Role::Edge, "{} is {identity}'s, not a vehicle's", config.credentials.display());
    let pki = options.pki.as_deref().map(|folder| of_same_folder(folder, &identity, &config.credentials));
    let pki = pki.transpose()?;

    let path = config.credentials.join(UNDER_WAY);
    let mut under_way = match path.exists() {
        true => read(&path)?,
        false => begin(&config.credentials, &config.opening)?,
    };
    under_way.write(&path)?;
    let (old, new) = (under_way.old.opening(&path)?, under_way.new.opening(&path)?);
    let of = |opening: &Opening| commitment(identity.id(), &opening.salt, &opening.key);
    let action = Action::RotateVehicle { old: of(&old), new: of(&new) };

    let height = block_on(async {
        let decider = Decider::new(&options.submit).await?;
        if let Some(offered) = &under_way.offered
            && let Some(height) = decider.find(&offered.decision, offered.after).await?
        {
            return Ok(height);
        }
        let transaction = decider.sign(vec![action])?;
        let decision = Transaction::Registry(transaction.clone()).digest().to_string();
        under_way.offered = Some(Offered { decision, after: decider.height() });
        under_way.write(&path)?;
        decider.finish(&transaction).await
    })?;

    write_opening(&config.opening, &new)?;
    use_next_signing_key(&config.credentials)?;
    if let Some(pki) = pki {
        let issued = pki.renew(&identity, options.days)?;
        pki.revoke_former(&identity)?;
        output::line(format!(
            "a new certificate until {}; the former ones are revoked",
            output::rfc3339(issued.entry.expires_s)
        ));
    }
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    audit_log::enter_once(
        &config.data.join("audit"),
        &format!("the signing key of {identity} is rotated in block {height}"),
    )?;
    output::line(format!(
        "{}: the new key counts from block {height} on, what the old key signed if it was anchored before",
        identity.id()
    ));
    output::line("Start the agent again: it signs with the new key.");
    Ok(())
}

/// Runs `rotate-opening`.
pub fn opening(vehicle: &str, old: &Path, new: &Path, submit: &args::Submit) -> Result<()> {
    let action =
        Action::RotateVehicle { old: commitment_of(vehicle, old)?, new: commitment_of(vehicle, new)? };
    decide(submit, action, &format!("{vehicle}'s key is rotated"))
}

/// What was signed with the old key and is not anchored when the rotation becomes final never counts.
fn check_nothing_waits(
    config: &voltmesh_edge::Config,
    held: &voltmesh_edge::FolderLock,
    leave: bool,
) -> Result<()> {
    let runner = tokio::Runner::new(
        tokio::Config::default().with_storage_directory(&config.data).with_worker_threads(1),
    );
    let waiting = runner.start(|context| voltmesh_edge::waiting(context, config, held))?;
    ensure!(
        waiting == 0 || leave,
        "{waiting} batches that the old key signed are not archived: run `voltmesh edge --drain` with this configuration first. \
         With --leave-waiting they stay in the spool, and those that no fog node anchored before never count"
    );
    if waiting > 0 {
        output::note(&format!("{waiting} batches of the old key stay in the spool"));
    }
    Ok(())
}

/// The CA, if the vehicle's keys are in its folder: it can renew no others.
fn of_same_folder(folder: &Path, identity: &Identity, credentials: &Path) -> Result<Pki> {
    let pki = Pki::open(folder)?;
    let canonical =
        |path: PathBuf| path.canonicalize().with_context(|| format!("cannot open {}", path.display()));
    ensure!(
        canonical(pki.folder_of(identity))? == canonical(credentials.to_path_buf())?,
        "the keys in {} are not those of the CA in {}: leave --pki out, and renew the certificate with `voltmesh pki csr`, \
         `voltmesh pki sign --renew` and `voltmesh pki install`",
        credentials.display(),
        folder.display()
    );
    Ok(pki)
}

fn begin(credentials: &Path, opening: &Path) -> Result<UnderWay> {
    let old = read_opening(opening)?;
    let key = read_signing_key(&credentials.join("sign.key"))?;
    ensure!(
        old.key == key.verifying_key().to_bytes(),
        "the key in {} is not that of {}: use the opening that was enrolled",
        opening.display(),
        credentials.join("sign.key").display()
    );
    let new = Opening { salt: salt(), key: raw_key(&make_next_signing_key(credentials)?)? };
    Ok(UnderWay { old: OpeningFile::of(&old), new: OpeningFile::of(&new), offered: None })
}

fn read(path: &Path) -> Result<UnderWay> {
    let text = read_text(path, MAX_SMALL_FILE)?;
    toml::from_str(&text).with_context(|| {
        format!("{} is no rotation that was begun; restore it, or remove it to begin anew", path.display())
    })
}

impl UnderWay {
    fn write(&self, path: &Path) -> Result<()> {
        Ok(write_private(path, toml::to_string(self)?.as_bytes())?)
    }
}
