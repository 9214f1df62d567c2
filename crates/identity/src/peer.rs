use std::{fmt, net::IpAddr, str::FromStr};

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Error, Identity};

/// A certificate's serial number, without leading zeros; shown as hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// From the big-endian bytes of the number.
    pub fn new(bytes: &[u8]) -> Serial {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Serial(bytes[zeros..].to_vec())
    }

    /// 127 random bits, never zero: RFC 5280 4.1.2.2 asks for a positive number of at most 20 octets.
    pub(crate) fn random() -> Serial {
        let mut bytes: [u8; 16] = rand::random();
        bytes[0] = bytes[0] & 0x7f | 0x40;
        Serial::new(&bytes)
    }

    /// The big-endian bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = Error;

    /// Hex, with or without the colons that OpenSSL prints.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        match hex::decode(&digits) {
            Ok(bytes) if !bytes.is_empty() && bytes.len() <= 20 => Ok(Serial::new(&bytes)),
            _ => Err(Error::NotFound {
                target: format!("serial number {:?}", text.chars().take(60).collect::<String>()),
            }),
        }
    }
}

/// Identity of the other end of a connection, from its certificate alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Role and id.
    pub identity: Identity,
    /// Of the certificate it came with.
    pub serial: Serial,
    /// When that certificate ends, in seconds since the Unix epoch.
    pub expires_s: i64,
}

impl Peer {
    /// Reads a certificate that TLS has already verified; it must hold exactly one `urn:voltmesh:` URI.
    pub fn from_der(certificate: &CertificateDer<'_>) -> Result<Peer, Error> {
        let refuse = |problem: &str| Error::Certificate { problem: problem.to_owned() };
        let (rest, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| refuse(&format!("it does not parse ({error})")))?;
        if !rest.is_empty() {
            return Err(refuse("bytes follow it"));
        }
        let names = parsed.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        let mut uris = names.flatten().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with("urn:voltmesh:") => Some(*uri),
            _ => None,
        });
        let uri = uris.next().ok_or_else(|| refuse("it has no URI urn:voltmesh:<role>:<id>"))?;
        if uris.next().is_some() {
            return Err(refuse("it has more than one urn:voltmesh: URI"));
        }
        Ok(Peer {
            identity: uri.parse()?,
            serial: Serial::new(parsed.raw_serial()),
            expires_s: parsed.validity().not_after.timestamp(),
        })
    }
}

/// The numbers of the certificates that a peer shows besides its own; few, so that a long chain costs nothing.
pub fn issuer_serials(between: &[CertificateDer<'_>]) -> Result<Vec<Serial>, Error> {
    let serial = |certificate| parse(certificate).map(|parsed| Serial::new(parsed.raw_serial()));
    if between.len() > MAX_BETWEEN {
        let problem = format!("{} certificates beside its own, {MAX_BETWEEN} at most", between.len());
        return Err(Error::Certificate { problem });
    }
    between.iter().map(serial).collect()
}

/// Most certificates beside its own that a peer may show: a root and three levels of issuers.
const MAX_BETWEEN: usize = 4;

/// How many intermediate CAs a CA allows below itself (RFC 5280 4.2.1.9); `None` for any number.
pub(crate) fn path_length(ca: &CertificateDer<'_>) -> Result<Option<usize>, Error> {
    let parsed = parse(ca)?;
    let constraints = parsed.basic_constraints().ok().flatten();
    Ok(constraints.and_then(|found| found.value.path_len_constraint).map(|most| most as usize))
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let parsed = X509Certificate::from_der(certificate);
    parsed
        .map(|(_, parsed)| parsed)
        .map_err(|error| Error::Certificate { problem: format!("one of its chain does not parse ({error})") })
}

/// DNS names and addresses of a certificate.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let parsed = parse(certificate)?;
    let names = parsed.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    Ok(names.flatten().filter_map(name).collect())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}
