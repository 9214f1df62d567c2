//! `voltmesh pki …`: keys and certificates of a development CA.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use commonware_cryptography::Signer as _;
use serde_json::json;
use time::OffsetDateTime;
use voltmesh_identity::{
    Entry, Identity, Issued, KeyForm, OneRole, Pki, Reason, Role, Target, decrypt_key_file, encrypt_key_file,
    install, make_next_signing_key, make_request, read_signing_key, use_next_signing_key,
};
use voltmesh_ledger::{MAX_TRUST_BYTES, Trust, private_key};

use super::public_key::read_public;
use super::{audit_log, read_limited, read_text};
use crate::{Outcome, args, output};

/// Largest certificate signing request.
const MAX_REQUEST: usize = 16 << 10;

/// Default ports of other roles, which a build for vehicles does not have: a fog node's for vehicles and for authorities, the
/// cloud's for fog nodes. A test holds them to the roles' own.
const FOG_MQTT: u16 = 8883;
const FOG_P2P: u16 = 7000;
const CLOUD_MQTT: u16 = 8884;

/// Runs the command. What it changes is entered in the audit log of the CA, the folder `audit` in its own.
pub fn run(command: args::Pki) -> Result<Outcome> {
    match command {
        args::Pki::Init { dir, one_role, encrypt, pkcs11 } => {
            let policy = if one_role { OneRole::Refuse } else { OneRole::Warn };
            let pki = match pkcs11 {
                Some(place) => Pki::init_in_token(&dir.dir, policy, &place.parse()?)?,
                None => Pki::init_with(&dir.dir, policy, form(encrypt))?,
            };
            enter(&dir.dir, "a CA is made")?;
            output::line(format!("CA made: {}", pki.ca_path().display()));
            output::line(format!("Next: voltmesh pki issue fog:fog-1 --dir {}", dir.dir.display()));
        }
        args::Pki::Issue { dir, identity, pkcs11: Some(place), days, .. } => {
            let identity = parse(&identity)?;
            ensure!(
                identity.role == Role::Operator,
                "only an operator's signing key is used rarely enough for a token; {identity} signs by `sign.key`, which \
                 --encrypt protects"
            );
            let issued = Pki::open(&dir.dir)?.issue_in_token(&identity, &place.parse()?, days)?;
            told("issued", &dir.dir, &issued)?;
            output::line(format!("sign with --operator {}", issued.folder.join("sign.uri").display()));
        }
        args::Pki::Issue { dir, identity, hosts, replace_lost: false, days, encrypt, .. } => {
            let pki = Pki::open(&dir.dir)?.with_key_form(form(encrypt));
            told("issued", &dir.dir, &pki.issue(&parse(&identity)?, &hosts, days)?)?;
        }
        args::Pki::Issue { dir, identity, replace_lost: true, days, encrypt, .. } => {
            let pki = Pki::open(&dir.dir)?.with_key_form(form(encrypt));
            let issued = pki.replace(&parse(&identity)?, days)?;
            told("issued anew", &dir.dir, &issued)?;
            next_after_loss(&issued);
        }
        args::Pki::Csr { identity, keys, encrypt } => {
            let made = make_request(&keys, &parse(&identity)?, form(encrypt))?;
            output::line(format!("for the CA: {}", made.request.display()));
            output::line(format!("for the registry: {}", made.sign_pub.display()));
            output::line("The keys stay here.");
        }
        args::Pki::Sign { dir, identity, request, hosts, days, renew } => {
            let request = read_limited(&request, MAX_REQUEST)?;
            let pki = Pki::open(&dir.dir)?;
            let issued = pki.sign(&parse(&identity)?, &request, &hosts, days, renew)?;
            told("signed", &dir.dir, &issued)?;
            output::line("Take tls.crt and ca.crt to the keys: voltmesh pki install.");
        }
        args::Pki::Install { keys, certificate, ca } => {
            let own = install(&keys, &certificate, &ca)?;
            let until = output::rfc3339(own.expires_s);
            output::line(format!("{}: {} until {until}", keys.display(), own.identity));
        }
        args::Pki::Encrypt { keys } => {
            for key in keys {
                let changed = encrypt_key_file(&key)?;
                let what = if changed { "encrypted" } else { "was encrypted, with this passphrase" };
                output::line(format!("{}: {what}", key.display()));
            }
        }
        args::Pki::Decrypt { keys } => {
            for key in keys {
                let changed = decrypt_key_file(&key)?;
                let what =
                    if changed { "decrypted: put it on an encrypted disk" } else { "was not encrypted" };
                output::line(format!("{}: {what}", key.display()));
            }
        }
        args::Pki::NextKey { keys } => {
            let public = make_next_signing_key(&keys)?;
            output::line(format!("{}: let it be trusted, then: voltmesh pki use-next-key", public.display()));
        }
        args::Pki::UseNextKey { keys, trust } => use_next_key(&keys, &trust)?,
        args::Pki::Renew { dir, identity, days, encrypt } => {
            let pki = Pki::open(&dir.dir)?.with_key_form(form(encrypt));
            told("renewed", &dir.dir, &pki.renew(&parse(&identity)?, days)?)?;
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
        args::Pki::Show { dir, config: true, .. } => output::line(configuration(&Pki::open(&dir.dir)?)?),
        args::Pki::Show { dir, config: false, json } => show(&Pki::open(&dir.dir)?, json)?,
    }
    Ok(Outcome::Done)
}

fn form(encrypt: bool) -> KeyForm {
    if encrypt { KeyForm::Encrypted } else { KeyForm::AsBefore }
}

/// Puts a cloud's next key in force, once a trust file names it: whoever does not know it would believe no notice, and keep
/// everything.
fn use_next_key(keys: &Path, trust: &Path) -> Result<()> {
    let next = keys.join("sign.key.next");
    if next.exists() {
        let key = private_key(&read_signing_key(&next)?.to_bytes()).public_key();
        let trusted = Trust::from_toml(&read_text(trust, MAX_TRUST_BYTES)?)
            .with_context(|| format!("{} is no trust file", trust.display()))?;
        ensure!(
            trusted.cloud_keys().contains(&key),
            "{} does not name the key {key}: add it with `voltmesh chain trust --cloud {}`, give the file to vehicles and \
             verifiers and the key to fog nodes (cloud.notice_key), and repeat this",
            trust.display(),
            keys.join("sign.pub.next").display()
        );
    }
    let used = use_next_signing_key(keys)?;
    ensure!(used, "no key waits in {}: make one with `voltmesh pki next-key`", keys.display());
    output::line(format!("{}: the next key is in force from the next start on", keys.display()));
    Ok(())
}

/// `edge:car-1` or the whole URI.
pub(crate) fn parse(text: &str) -> Result<Identity> {
    let uri = if text.starts_with("urn:") { text.to_owned() } else { format!("urn:voltmesh:{text}") };
    Ok(uri.parse()?)
}

/// Enters what an operator has done with the CA.
fn enter(folder: &Path, what: &str) -> Result<()> {
    audit_log::enter_once(&folder.join("audit"), what)
}

fn told(what: &str, folder: &Path, issued: &Issued) -> Result<()> {
    enter(folder, &format!("{what} {} {}", issued.entry.identity, issued.entry.serial))?;
    let until = output::rfc3339(issued.entry.expires_s);
    output::line(format!("{what} {} until {until}: {}", issued.entry.identity, issued.folder.display()));
    Ok(())
}

/// What remains to be decided on the ledger once keys were lost.
fn next_after_loss(issued: &Issued) {
    let folder = issued.folder.display();
    let next = match issued.entry.identity.role {
        Role::Fog => format!("voltmesh registry rotate-authority {folder}/sign.old.pub {folder}/sign.pub …"),
        Role::Edge => {
            "voltmesh registry revoke … with the former opening, then opening and enrol …".to_owned()
        }
        Role::Cloud => {
            format!("voltmesh chain trust --cloud {folder}/sign.pub …, and cloud.notice_key of the fog nodes")
        }
        _ => return,
    };
    output::line(format!("Next: {next}"));
}

/// The signing key of an identity in hex, if its `sign.pub` is in the CA's folder.
fn key(pki: &Pki, identity: &Identity) -> Option<String> {
    let path = pki.folder_of(identity).join("sign.pub");
    path.exists().then(|| read_public(&path).ok()).flatten().map(|key| key.to_string())
}

fn show(pki: &Pki, as_json: bool) -> Result<()> {
    let entries = pki.show()?;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    // Of former certificates the key may be another one.
    let key = |entry: &Entry| entry.is_in_force(now).then(|| key(pki, &entry.identity)).flatten();
    if as_json {
        let list: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "identity": entry.identity.to_string(),
                    "serial": entry.serial.to_string(),
                    "not_after": output::rfc3339(entry.expires_s),
                    "status": entry.status(now).to_string(),
                    "key": key(entry),
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
            key(entry).unwrap_or_else(|| "–".into()),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    output::table(&["identity", "status", "until", "serial", "signing key"], &rows);
    Ok(())
}

/// What configurations want to know of fog nodes and cloud, as TOML.
fn configuration(pki: &Pki) -> Result<String> {
    let (mut peers, mut cloud, mut fogs) = (String::new(), String::new(), Vec::new());
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let mut seen = BTreeSet::new();
    // The newest certificate of each.
    for entry in pki.show()?.iter().rev().filter(|entry| entry.is_in_force(now)) {
        let (identity, id) = (&entry.identity, entry.identity.id());
        if !matches!(identity.role, Role::Fog | Role::Cloud) || !seen.insert(identity.to_string()) {
            continue;
        }
        let host = entry.hosts.first().map_or("localhost", String::as_str);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let key = key(pki, identity).with_context(|| {
            let folder = pki.folder_of(identity);
            format!("{} has no sign.pub: copy it there from where the keys of {id} are", folder.display())
        })?;
        if identity.role == Role::Fog {
            let port = FOG_P2P;
            let peer = format!(
                "[[ledger.peers]]\nname = \"{id}\"\naddress = \"{host}:{port}\"\nkey = \"{key}\"\n\n"
            );
            peers.insert_str(0, &peer);
            fogs.insert(0, format!("\"{host}:{}\"", FOG_MQTT));
        } else {
            let port = CLOUD_MQTT;
            cloud = format!("[cloud]\naddress = \"{host}:{port}\"\nnotice_key = \"{key}\"\n\n");
        }
    }
    let fogs = fogs.join(", ");
    Ok(format!(
        "# fog.toml, of each fog node: its own entry may stay.\n{peers}{cloud}# edge.toml\nfogs = [{fogs}]"
    ))
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_that_the_roles_listen_on() {
        let fog = voltmesh_fog::config::Listen::default();
        let cloud = voltmesh_cloud::config::Mqtt::default();
        let ports = [fog.mqtt, fog.p2p, cloud.listen].map(|address| address.port());
        assert_eq!(ports, [FOG_MQTT, FOG_P2P, CLOUD_MQTT]);
    }
}
