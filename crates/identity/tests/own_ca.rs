//! Certificates of a fleet's own CA, made by openssl: RSA, P-256, P-384, Ed25519, directly and through an intermediate CA.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#![allow(clippy::unwrap_used, clippy::result_large_err)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection};
use voltmesh_identity::*;

const CONFIGURATION: &str = "
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical,CA:TRUE,pathlen:1
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[between]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[edge]
subjectAltName = URI:urn:voltmesh:edge:car-1
extendedKeyUsage = clientAuth
keyUsage = critical,digitalSignature
authorityKeyIdentifier = keyid
[fog]
subjectAltName = URI:urn:voltmesh:fog:fog-1,DNS:localhost
extendedKeyUsage = serverAuth,clientAuth
keyUsage = critical,digitalSignature
authorityKeyIdentifier = keyid
[ca]
default_ca = own
[own]
database = index.txt
crlnumber = crlnumber
default_md = default
default_crl_days = 7
certificate = ca.crt
private_key = ca.key
crl_extensions = list
[list]
authorityKeyIdentifier = keyid
[delta]
2.5.29.27 = critical,ASN1:INTEGER:1
[delta_not_critical]
2.5.29.27 = ASN1:INTEGER:1
[users]
issuingDistributionPoint = critical,@users_only
[users_only]
onlyuser = TRUE
[authorities]
issuingDistributionPoint = critical,@authorities_only
[authorities_only]
onlyCA = TRUE
[reasons]
issuingDistributionPoint = critical,@one_reason
[one_reason]
onlysomereasons = keyCompromise
[indirect]
issuingDistributionPoint = critical,@indirectly
[indirectly]
indirectCRL = TRUE
[to_come]
1.2.3.4.5 = critical,ASN1:NULL
[whole]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical,@whole_point
1.2.3.4.5 = ASN1:NULL
[whole_point]
fullname = URI:http://crl.example/fleet.crl
";

/// A fleet's CA in a folder, as an operator makes one with openssl.
struct Own<'a> {
    folder: &'a Path,
    algorithm: &'a [&'a str],
}

impl Own<'_> {
    fn openssl(&self, args: &[&str]) {
        let output = Command::new("openssl").args(args).current_dir(self.folder).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn key(&self, path: &str) {
        self.openssl(&[&["genpkey", "-out", path][..], self.algorithm].concat());
    }

    fn init(&self) {
        fs::write(self.folder.join("own.cnf"), CONFIGURATION).unwrap();
        fs::write(self.folder.join("index.txt"), "").unwrap();
        fs::write(self.folder.join("crlnumber"), "01\n").unwrap();
        self.key("ca.key");
        self.openssl(&[
            "req",
            "-x509",
            "-new",
            "-config",
            "own.cnf",
            "-key",
            "ca.key",
            "-subj",
            "/CN=A fleet",
            "-days",
            "30",
            "-extensions",
            "root",
            "-out",
            "ca.crt",
        ]);
        self.list();
    }

    fn list(&self) {
        self.list_with("list");
    }

    fn list_with(&self, extensions: &str) {
        self.openssl(&["ca", "-config", "own.cnf", "-gencrl", "-crlexts", extensions, "-out", "next.pem"]);
        // As renamed over the one that is watched.
        fs::rename(self.folder.join("next.pem"), self.folder.join("crl.pem")).unwrap();
    }

    fn revoke(&self, certificate: &str) {
        self.openssl(&["ca", "-config", "own.cnf", "-revoke", certificate]);
        self.list();
    }

    /// A certificate with this serial number, signed by `by`, for the key of this name.
    fn certify(&self, name: &str, kind: &str, serial: &str, by: &str) {
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        let (ca, ca_key, out) = (format!("{by}.crt"), format!("{by}.key"), format!("{name}.crt"));
        self.key(&key);
        let subject = format!("/CN={kind}");
        self.openssl(&[
            "req", "-new", "-config", "own.cnf", "-key", &key, "-subj", &subject, "-out", &request,
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-set_serial",
            serial,
            "-days",
            "30",
            "-extfile",
            "own.cnf",
            "-extensions",
            kind,
            "-out",
            &out,
        ]);
    }

    /// The folder of one identity, whose chain these certificates are.
    fn credentials(&self, name: &str, chain: &[&str]) -> Credentials {
        let folder = self.folder.join(name);
        create_private_dir(&folder).unwrap();
        let read = |file: String| fs::read_to_string(self.folder.join(file)).unwrap();
        let chain: String = chain.iter().map(|file| read(format!("{file}.crt"))).collect();
        write_private(&folder.join("tls.key"), read(format!("{name}.key")).as_bytes()).unwrap();
        write_public(&folder.join("tls.crt"), chain.as_bytes()).unwrap();
        write_public(&folder.join("ca.crt"), read("ca.crt".into()).as_bytes()).unwrap();
        write_signing_key(&folder, &ed25519_dalek::SigningKey::from_bytes(&[7; 32])).unwrap();
        Credentials::load(&folder).unwrap()
    }
}

/// What the server says of a handshake.
fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Result<(), Error> {
    let mut server = ServerConnection::new(server).unwrap();
    let mut client = ClientConnection::new(client, server_name()).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut &wire[..]).unwrap();
        client.process_new_packets()?;
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    Ok(())
}

fn certificates_get_in_until_they_are_revoked(algorithm: &[&str]) {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: openssl is not installed (Debian: openssl)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let own = Own { folder: folder.path(), algorithm };
    own.init();
    own.certify("fog", "fog", "0x11", "ca");
    own.certify("direct", "edge", "0x21", "ca");
    own.certify("between", "between", "0x31", "ca");
    own.certify("indirect", "edge", "0x41", "between");
    let fog = own.credentials("fog", &["fog"]);
    let cars = [
        ("direct", own.credentials("direct", &["direct"])),
        ("between", own.credentials("indirect", &["indirect", "between"])),
    ];
    let watch = RevocationWatch::open(&folder.path().join("crl.pem"), &fog.ca).unwrap();
    let server = fog.server_config(&watch).unwrap();
    for (revoked, car) in cars {
        let client = || car.client_config(Expected::role(Role::Fog), Some(&watch)).unwrap();
        assert_eq!(handshake(server.clone(), client()), Ok(()), "{revoked} {algorithm:?}");
        own.revoke(&format!("{revoked}.crt"));
        let why = Error::InvalidCertificate(CertificateError::Revoked);
        assert_eq!(handshake(server.clone(), client()), Err(why), "{revoked} {algorithm:?}");
    }
}

#[test]
fn rsa_certificates_of_a_fleets_own_ca() {
    certificates_get_in_until_they_are_revoked(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
}

#[test]
fn p256_certificates_of_a_fleets_own_ca() {
    certificates_get_in_until_they_are_revoked(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
}

#[test]
fn p384_certificates_of_a_fleets_own_ca() {
    certificates_get_in_until_they_are_revoked(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
}

#[test]
fn ed25519_certificates_of_a_fleets_own_ca() {
    certificates_get_in_until_they_are_revoked(&["-algorithm", "ED25519"]);
}

/// A list of a part of the CA's certificates, or that asks for what is not understood, lets nobody in again.
#[test]
fn a_list_that_is_no_whole_one_is_not_taken_over() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: openssl is not installed (Debian: openssl)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let own = Own { folder: folder.path(), algorithm: &["-algorithm", "ED25519"] };
    own.init();
    own.certify("fog", "fog", "0x11", "ca");
    own.certify("gone", "edge", "0x21", "ca");
    let fog = own.credentials("fog", &["fog"]);
    let gone = own.credentials("gone", &["gone"]);
    let watch = RevocationWatch::open(&folder.path().join("crl.pem"), &fog.ca).unwrap();
    own.revoke("gone.crt");
    assert!(watch.poll() && watch.is_revoked(&gone.own.serial));
    // None of these names it.
    fs::write(folder.path().join("index.txt"), "").unwrap();
    for part in ["delta", "delta_not_critical", "users", "authorities", "reasons", "indirect", "to_come"] {
        own.list_with(part);
        assert!(!watch.poll() && watch.is_revoked(&gone.own.serial), "{part}");
        let error = RevocationWatch::open(&folder.path().join("crl.pem"), &fog.ca).unwrap_err().to_string();
        assert!(
            error.contains("part") || error.contains("changed") || error.contains("understood"),
            "{error}"
        );
    }
    own.list_with("whole");
    assert!(watch.poll() && !watch.is_revoked(&gone.own.serial));
}
