//! `voltmesh pki …`: keys and certificates of a development CA.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use time::OffsetDateTime;
use voltmesh_audit::{Kind, Recorder};
use voltmesh_identity::{Entry, Identity, Issued, OneRole, Pki, Reason, Target};

use crate::{Outcome, args, output};

/// Runs the command. What it changes is entered in the audit log of the CA, the folder `audit` in its own.
pub fn run(command: args::Pki) -> Result<Outcome> {
    match command {
        args::Pki::Init { dir, one_role } => {
            let policy = if one_role { OneRole::Refuse } else { OneRole::Warn };
            let pki = Pki::init_with(&dir.dir, policy)?;
            enter(&dir.dir, "a CA is made")?;
            output::line(format!("CA made: {}", pki.ca_path().display()));
            output::line(format!("Next: voltmesh pki issue fog:fog-1 --dir {}", dir.dir.display()));
        }
        args::Pki::Issue { dir, identity, hosts, days } => {
            told("issued", &dir.dir, &Pki::open(&dir.dir)?.issue(&parse(&identity)?, &hosts, days)?)?;
        }
        args::Pki::Renew { dir, identity, days } => {
            told("renewed", &dir.dir, &Pki::open(&dir.dir)?.renew(&parse(&identity)?, days)?)?;
        }
        args::Pki::Revoke { dir, identity } => {
            let pki = Pki::open(&dir.dir)?;
            let ended = pki.revoke(&Target::Identity(parse(&identity)?), Reason::Unspecified)?;
            for entry in ended {
                enter(&dir.dir, &format!("revoked {} {}", entry.identity, entry.serial))?;
                output::line(format!("revoked {} {}", entry.identity, entry.serial));
            }
            output::line(format!("Nodes that watch {} drop its sessions now.", pki.crl_path().display()));
            output::line("A vehicle's signing key is revoked on the ledger: voltmesh registry revoke.");
        }
        args::Pki::RenewCrl(dir) => {
            let pki = Pki::open(&dir.dir)?;
            pki.renew_crl()?;
            enter(&dir.dir, "the revocation list is signed anew")?;
            output::line(format!("signed {}", pki.crl_path().display()));
        }
        args::Pki::Show { dir, json } => show(&Pki::open(&dir.dir)?.show()?, json)?,
    }
    Ok(Outcome::Done)
}

/// `edge:car-1` or the whole URI.
pub(crate) fn parse(text: &str) -> Result<Identity> {
    let uri = if text.starts_with("urn:") { text.to_owned() } else { format!("urn:voltmesh:{text}") };
    Ok(uri.parse()?)
}

/// Enters what an operator has done with the CA.
fn enter(folder: &Path, what: &str) -> Result<()> {
    let recorder = Recorder::open(&folder.join("audit"))?;
    let user = std::env::var("USER").unwrap_or_else(|_| "user unknown".to_owned());
    recorder.record(Kind::Operator, &user, what);
    recorder.close();
    Ok(())
}

fn told(what: &str, folder: &Path, issued: &Issued) -> Result<()> {
    enter(folder, &format!("{what} {} {}", issued.entry.identity, issued.entry.serial))?;
    let until = output::rfc3339(issued.entry.expires_s);
    output::line(format!("{what} {} until {until}: {}", issued.entry.identity, issued.folder.display()));
    Ok(())
}

fn show(entries: &[Entry], as_json: bool) -> Result<()> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    if as_json {
        let list: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "identity": entry.identity.to_string(),
                    "serial": entry.serial.to_string(),
                    "not_after": output::rfc3339(entry.expires_s),
                    "status": entry.status(now).to_string(),
                })
            })
            .collect();
        return output::json(&json!({ "certificates": list }));
    }
    let row = |entry: &Entry| {
        vec![
            entry.identity.to_string(),
            entry.status(now).to_string(),
            output::rfc3339(entry.expires_s),
            entry.serial.to_string(),
        ]
    };
    output::table(&["identity", "status", "until", "serial"], &entries.iter().map(row).collect::<Vec<_>>());
    Ok(())
}
