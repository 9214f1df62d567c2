//! `voltmesh pki …`: keys and certificates of a development CA.

use anyhow::Result;
use serde_json::json;
use time::OffsetDateTime;
use voltmesh_identity::{Entry, Identity, Issued, OneRole, Pki, Reason, Target};

use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(command: args::Pki) -> Result<Outcome> {
    match command {
        args::Pki::Init { dir, one_role } => {
            let policy = if one_role { OneRole::Refuse } else { OneRole::Warn };
            let pki = Pki::init_with(&dir.dir, policy)?;
            output::line(format!("CA made: {}", pki.ca_path().display()));
            output::line(format!("Next: voltmesh pki issue fog:fog-1 --dir {}", dir.dir.display()));
        }
        args::Pki::Issue { dir, identity, hosts, days } => {
            told("issued", &Pki::open(&dir.dir)?.issue(&parse(&identity)?, &hosts, days)?);
        }
        args::Pki::Renew { dir, identity, days } => {
            told("renewed", &Pki::open(&dir.dir)?.renew(&parse(&identity)?, days)?);
        }
        args::Pki::Revoke { dir, identity } => {
            let pki = Pki::open(&dir.dir)?;
            let ended = pki.revoke(&Target::Identity(parse(&identity)?), Reason::Unspecified)?;
            for entry in ended {
                output::line(format!("revoked {} {}", entry.identity, entry.serial));
            }
            output::line(format!("Nodes that watch {} drop its sessions now.", pki.crl_path().display()));
            output::line("A vehicle's signing key is revoked on the ledger: voltmesh registry revoke.");
        }
        args::Pki::RenewCrl(dir) => {
            let pki = Pki::open(&dir.dir)?;
            pki.renew_crl()?;
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

fn told(what: &str, issued: &Issued) {
    let until = output::rfc3339(issued.entry.expires_s);
    output::line(format!("{what} {} until {until}: {}", issued.entry.identity, issued.folder.display()));
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
