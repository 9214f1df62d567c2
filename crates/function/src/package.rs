//! A release as it travels and is kept: the publisher's signature over manifest and digest, then the component.
//!
//! Provided: who published it, that nothing was altered, that it may still run; sizes are checked before anything is parsed.
//! Not provided: that the component is a function, which shows when a node compiles it ([`crate::Host::compile`]).

use crate::{Manifest, Refusal, manifest::MAX_MANIFEST_BYTES};
use bytes::Bytes;
use ed25519_dalek::{SigningKey, VerifyingKey};
use std::collections::BTreeSet;
use voltmesh_telemetry::{
    Digest,
    cbor::{Reader, Writer},
    cose::{Protected, Sign1, key_id},
    is_name,
};

/// Most bytes of a component: a function in Rust has some 100 to 300 kB, an interpreter 2 MB.
pub const MAX_COMPONENT_BYTES: usize = 4 << 20;
/// Most bytes of the signed statement: the manifest, a digest, header and signature.
const MAX_STATEMENT_BYTES: usize = MAX_MANIFEST_BYTES + 1024;
/// Most bytes of a package: head, statement, component.
pub const MAX_PACKAGE_BYTES: usize = HEAD_BYTES + MAX_STATEMENT_BYTES + MAX_COMPONENT_BYTES;
/// First bytes of a package: a name and the version of the format.
const MAGIC: [u8; 4] = *b"VMF1";
/// The magic and the statement's length, big-endian.
const HEAD_BYTES: usize = 8;
/// Our claim in the protected header: this is a release of a function, version 1.
const KIND: &str = "function/1";
/// Begin of the issuer's URN.
const ISSUER: &str = "urn:voltmesh:publisher:";
/// First bytes of every component: `\0asm`, version 13, layer 1. A core module has layer 0.
const COMPONENT_MAGIC: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// Signed release of a function that was checked.
#[derive(Clone, Debug)]
pub struct Package {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of the component: the release's name everywhere.
    pub digest: Digest,
    /// Who published it.
    pub publisher: String,
    /// Id of the publisher's key.
    pub publisher_key: Digest,
    /// The component.
    pub component: Bytes,
}

impl Package {
    /// The package's bytes by the publisher's key.
    pub fn sign(
        manifest: &Manifest,
        component: &[u8],
        publisher: &str,
        key: &SigningKey,
    ) -> Result<Vec<u8>, Refusal> {
        manifest.check()?;
        if !is_name(publisher) {
            return Err(Refusal::field(
                "publisher",
                "wants 1 to 64 letters, digits, dots, hyphens, underscores",
            ));
        }
        is_component(component)?;
        let protected = Protected {
            key_id: key_id(&key.verifying_key()),
            issuer: format!("{ISSUER}{publisher}"),
            subject: manifest.name.clone(),
            tree: false,
            extension: Writer::new().text(KIND).finish(),
        };
        let manifest = manifest.encode();
        Refusal::limit("manifest", manifest.len(), MAX_MANIFEST_BYTES)?;
        let mut payload = Writer::with_capacity(manifest.len() + 64);
        payload.array(2).bytes(&manifest).bytes(Digest::of(component).as_bytes());
        let statement = Sign1::sign(&protected, &payload.finish(), key).encode();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + statement.len() + component.len());
        bytes.extend(MAGIC);
        bytes.extend((statement.len() as u32).to_be_bytes());
        bytes.extend(statement);
        bytes.extend(component);
        Ok(bytes)
    }

    /// Reads a package that any of these publishers' keys signed and that was not withdrawn.
    pub fn open(
        bytes: &Bytes,
        publishers: &[VerifyingKey],
        withdrawn: &BTreeSet<Digest>,
    ) -> Result<Self, Refusal> {
        let (statement, component) = split(bytes)?;
        let altered = |what| move |error| Refusal::Altered { what, source: Some(error) };
        let message = Sign1::decode(statement).map_err(altered("its statement cannot be read"))?;
        let protected = Protected::decode(&message.protected)
            .map_err(altered("its statement's header cannot be read"))?;
        if protected.tree
            || !message.has_bare_header()
            || protected.extension != Writer::new().text(KIND).finish()
        {
            return Err(Refusal::Unsigned("what is signed is no release of a function"));
        }
        let key = publishers.iter().find(|key| key_id(key) == protected.key_id).ok_or(Refusal::Unsigned(
            "no publisher that is trusted here has signed it; name its key among the publishers'",
        ))?;
        message.verify(key).map_err(altered("its signature does not fit"))?;
        let publisher = match protected.issuer.strip_prefix(ISSUER) {
            Some(publisher) if is_name(publisher) => publisher.to_owned(),
            _ => return Err(Refusal::Unsigned("its issuer is no publisher")),
        };
        let payload = message.payload.as_deref().unwrap_or_default();
        let (manifest, digest) = payload_of(payload).map_err(altered("its statement cannot be read"))?;
        if digest != Digest::of(component) {
            return Err(Refusal::Altered { what: "its component has another digest", source: None });
        }
        if withdrawn.contains(&digest) {
            return Err(Refusal::Withdrawn(digest));
        }
        let manifest = Manifest::decode(manifest)?;
        if protected.subject != manifest.name {
            return Err(Refusal::Altered { what: "header and manifest have two names", source: None });
        }
        is_component(component)?;
        let component = bytes.slice(bytes.len() - component.len()..);
        Ok(Self { manifest, digest, publisher, publisher_key: protected.key_id, component })
    }

    /// Digest of the component in these bytes, whoever signed them: to say which release is refused, and for nothing else.
    pub fn digest_of(bytes: &[u8]) -> Option<Digest> {
        split(bytes).ok().map(|(_, component)| Digest::of(component))
    }
}

/// Statement and component.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    Refusal::limit("package", bytes.len(), MAX_PACKAGE_BYTES)?;
    let (head, rest) =
        bytes.split_first_chunk::<HEAD_BYTES>().ok_or(Refusal::NotAPackage("it ends within its head"))?;
    let [m0, m1, m2, m3, l0, l1, l2, l3] = *head;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(Refusal::NotAPackage("it does not begin as one; make it with `voltmesh function sign`"));
    }
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    Refusal::limit("the signed statement", length, MAX_STATEMENT_BYTES)?;
    let (statement, component) =
        rest.split_at_checked(length).ok_or(Refusal::NotAPackage("it ends within its statement"))?;
    Refusal::limit("component", component.len(), MAX_COMPONENT_BYTES)?;
    Ok((statement, component))
}

fn payload_of(payload: &[u8]) -> Result<(&[u8], Digest), voltmesh_telemetry::Error> {
    let mut reader = Reader::new("release", payload);
    reader.array_of(2)?;
    let (manifest, digest) = (reader.bytes()?, reader.digest()?);
    reader.finish()?;
    Ok((manifest, digest))
}

fn is_component(component: &[u8]) -> Result<(), Refusal> {
    Refusal::limit("component", component.len(), MAX_COMPONENT_BYTES)?;
    if component.starts_with(&COMPONENT_MAGIC) {
        return Ok(());
    }
    let why = if component.starts_with(b"\0asm") {
        "it is a core module; make a component of it with `voltmesh function build`"
    } else {
        "it does not begin as one"
    };
    Err(Refusal::NotAComponent(why.to_owned()))
}
