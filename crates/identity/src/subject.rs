//! What a certificate says of its holder: the common name, the alternative names, the identifier of the key.

use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, DnType, PublicKeyData, SanType};

use crate::{Error, Identity};

pub(crate) fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // RFC 5280 A.1: a common name has at most 64 characters.
    distinguished.push(DnType::CommonName, &name[..name.len().min(64)]);
    distinguished
}

pub(crate) fn alternative_names(identity: &Identity, hosts: &[String]) -> Result<Vec<SanType>, Error> {
    let mut names = vec![SanType::URI(Ia5String::try_from(identity.to_string())?)];
    let standard = if identity.role.is_server() { &["localhost", "127.0.0.1", "::1"][..] } else { &[] };
    for host in standard.iter().copied().chain(hosts.iter().map(String::as_str)) {
        let name = match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => {
                let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'*' | b'_');
                if host.is_empty() || host.len() > 253 || !host.bytes().all(fits) {
                    return Err(Error::Host { host: host.to_owned() });
                }
                SanType::DnsName(Ia5String::try_from(host)?)
            }
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Identifier of a public key in hex, as certificates state it (RFC 5280 4.2.1.2).
pub(crate) fn key_identifier(key: &impl PublicKeyData) -> String {
    hex::encode(CertificateParams::default().key_identifier(key))
}
