//! Handshakes in memory: who gets in, and who does not.
#![allow(clippy::unwrap_used, clippy::result_large_err)]

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection};
use time::{Duration, OffsetDateTime};
use voltmesh_identity::*;

struct World {
    _folder: tempfile::TempDir,
    pki: Pki,
    fog: Credentials,
    revoked: RevocationWatch,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let fog = issue(&pki, "fog:fog-1");
    let revoked = RevocationWatch::open(&pki.crl_path(), &fog.ca).unwrap();
    World { _folder: folder, pki, fog, revoked }
}

fn name(text: &str) -> Identity {
    format!("urn:voltmesh:{text}").parse().unwrap()
}

fn issue(pki: &Pki, text: &str) -> Credentials {
    Credentials::load(&pki.issue(&name(text), &[], 30).unwrap().folder).unwrap()
}

/// Replaces a certificate by one that the CA signed with other contents.
fn forge(pki: &Pki, folder: &Path, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let ca_key = KeyPair::from_pem(&read(&pki.ca_path().with_file_name("ca.key"))).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read(&pki.ca_path()), ca_key).unwrap();
    let key = KeyPair::from_pem(&read(&folder.join("tls.key"))).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("urn:voltmesh:edge:forged".try_into().unwrap())];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = OffsetDateTime::now_utc() - Duration::days(2);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(2);
    change(&mut params);
    std::fs::write(folder.join("tls.crt"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    Credentials::load(folder).unwrap()
}

/// Both sides' verdicts.
fn handshake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> Result<(), (Option<Error>, Option<Error>)> {
    let mut server = ServerConnection::new(server).unwrap();
    let mut client = ClientConnection::new(client, server_name()).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut &wire[..]).unwrap();
        let there = server.process_new_packets().err();
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut &wire[..]).unwrap();
        let here = client.process_new_packets().err();
        if there.is_some() || here.is_some() {
            return Err((there, here));
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    Ok(())
}

fn refused_by_server(world: &World, client: &Credentials) -> Error {
    let server = world.fog.server_config(&world.revoked).unwrap();
    let client = client.client_config(Expected::role(Role::Fog), None).unwrap();
    handshake(server, client).unwrap_err().0.expect("the server's error")
}

#[test]
fn the_right_ones_get_in() {
    let world = world();
    let server = world.fog.server_config(&world.revoked).unwrap();
    for expected in [Expected::role(Role::Fog), Expected::identity(&name("fog:fog-1"))] {
        let car = issue(&world.pki, &format!("edge:car-{}", expected.id.is_some()));
        handshake(server.clone(), car.client_config(expected, Some(&world.revoked)).unwrap()).unwrap();
    }
}

#[test]
fn wrong_ca() {
    let (ours, theirs) = (world(), world());
    let car = issue(&theirs.pki, "edge:car-1");
    let server = ours.fog.server_config(&ours.revoked).unwrap();
    let (_, here) =
        handshake(server, car.client_config(Expected::role(Role::Fog), None).unwrap()).unwrap_err();
    let here = here.expect("the client's error");
    assert!(matches!(
        here,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
    ));
}

#[test]
fn revoked_while_running() {
    let world = world();
    let server = world.fog.server_config(&world.revoked).unwrap();
    let car = issue(&world.pki, "edge:car-1");
    let client = || car.client_config(Expected::role(Role::Fog), None).unwrap();
    let config = client();
    handshake(server.clone(), config.clone()).unwrap();
    world.pki.revoke(&Target::Identity(name("edge:car-1")), Reason::KeyCompromise).unwrap();
    // With the configuration that has been in before, too: nothing is resumed.
    for config in [config, client()] {
        let (there, _) = handshake(server.clone(), config).unwrap_err();
        assert_eq!(there, Some(Error::InvalidCertificate(CertificateError::Revoked)));
    }
}

#[test]
fn a_revoked_server() {
    let world = world();
    let car = issue(&world.pki, "edge:car-1");
    let server = world.fog.server_config(&world.revoked).unwrap();
    let client = car.client_config(Expected::role(Role::Fog), Some(&world.revoked)).unwrap();
    world.pki.revoke(&Target::Serial(world.fog.own.serial.clone()), Reason::KeyCompromise).unwrap();
    let (_, here) = handshake(server, client).unwrap_err();
    assert_eq!(here, Some(Error::InvalidCertificate(CertificateError::Revoked)));
}

#[test]
fn expired_and_not_yet() {
    let world = world();
    let folder = world.pki.issue(&name("edge:car-1"), &[], 30).unwrap().folder;
    let now = OffsetDateTime::now_utc();
    let past = forge(&world.pki, &folder, |params| params.not_after = now - Duration::days(1));
    let error = refused_by_server(&world, &past);
    assert!(matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{error:?}");
    let future = forge(&world.pki, &folder, |params| params.not_before = now + Duration::days(1));
    let error = refused_by_server(&world, &future);
    assert!(
        matches!(error, Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })),
        "{error:?}"
    );
}

#[test]
fn no_client_certificate() {
    let world = world();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(world.fog.ca.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (there, _) =
        handshake(world.fog.server_config(&world.revoked).unwrap(), Arc::new(client)).unwrap_err();
    assert_eq!(there, Some(Error::NoCertificatesPresented));
}

#[test]
fn a_certificate_that_names_nobody_or_two() {
    let world = world();
    let folder = world.pki.issue(&name("edge:car-1"), &[], 30).unwrap().folder;
    let car = Credentials::load(&folder).unwrap();
    let good = std::fs::read(folder.join("tls.crt")).unwrap();
    for names in [&[][..], &["urn:voltmesh:edge:a", "urn:voltmesh:cloud:b"], &["urn:voltmesh:root:a"]] {
        let names: Vec<_> = names.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        let der = {
            let read = |path: &Path| std::fs::read_to_string(path).unwrap();
            let ca_key = KeyPair::from_pem(&read(&world.pki.ca_path().with_file_name("ca.key"))).unwrap();
            let issuer = Issuer::from_ca_cert_pem(&read(&world.pki.ca_path()), ca_key).unwrap();
            let mut params = CertificateParams::default();
            params.subject_alt_names = names;
            params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
        };
        assert!(Peer::from_der(&der).is_err());
    }
    std::fs::write(folder.join("tls.crt"), good).unwrap();
    assert_eq!(car.own.identity, name("edge:car-1"));
}

#[test]
fn a_certificate_for_signing_code_is_no_client() {
    let world = world();
    let folder = world.pki.issue(&name("edge:car-1"), &[], 30).unwrap().folder;
    let usage = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]
    };
    let error = refused_by_server(&world, &forge(&world.pki, &folder, usage));
    assert!(
        matches!(error, Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. })),
        "{error:?}"
    );
}

#[test]
fn a_server_of_another_role_or_name() {
    let world = world();
    let car = issue(&world.pki, "edge:car-1");
    let server = world.fog.server_config(&world.revoked).unwrap();
    for expected in [Expected::role(Role::Cloud), Expected::identity(&name("fog:fog-2"))] {
        let client = car.client_config(expected, None).unwrap();
        let here = handshake(server.clone(), client).unwrap_err().1.expect("the client's error");
        assert!(format!("{here:?}").contains("fog-1"), "{here:?}");
    }
}

#[test]
fn a_vehicle_cannot_play_a_fog_node() {
    let world = world();
    let thief = issue(&world.pki, "edge:car-2");
    let car = issue(&world.pki, "edge:car-1");
    let server = thief.server_config(&world.revoked).unwrap();
    assert!(handshake(server, car.client_config(Expected::role(Role::Fog), None).unwrap()).is_err());
}

#[test]
fn an_expired_list_follows_the_policy() {
    let world = world();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let ca_key = KeyPair::from_pem(&read(&world.pki.ca_path().with_file_name("ca.key"))).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read(&world.pki.ca_path()), ca_key).unwrap();
    let now = OffsetDateTime::now_utc();
    let list = rcgen::CertificateRevocationListParams {
        this_update: now - Duration::days(9),
        next_update: now - Duration::days(1),
        crl_number: rcgen::SerialNumber::from(99u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    write_public(&world.pki.crl_path(), list.signed_by(&issuer).unwrap().pem().unwrap().as_bytes()).unwrap();
    let car = issue(&world.pki, "edge:car-1");
    for (policy, expected) in [(ExpiredList::Warn, true), (ExpiredList::Refuse, false)] {
        let revoked = RevocationWatch::with_policy(&world.pki.crl_path(), &world.fog.ca, policy).unwrap();
        let server = world.fog.server_config(&revoked).unwrap();
        let client = car.client_config(Expected::role(Role::Fog), None).unwrap();
        assert_eq!(handshake(server, client).is_ok(), expected, "{policy:?}");
    }
}

/// A fleet whose CA allows so many levels of intermediate CAs, and a vehicle's certificate that one of them signed.
fn through_an_intermediate(most: u8) -> (World, Credentials, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let ca_key = KeyPair::from_pem(&read(&pki.ca_path().with_file_name("ca.key"))).unwrap();
    let authority = |name: &str, most| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(most));
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        params
    };
    let ca = authority("the fleet's", most);
    write_public(&pki.ca_path(), ca.self_signed(&ca_key).unwrap().pem().as_bytes()).unwrap();
    let ca = Issuer::new(ca, ca_key);
    let serial = vec![0x51; 8];
    let mut between = authority("a maker's", 0);
    between.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
    let between_key = KeyPair::generate().unwrap();
    let certificate = between.signed_by(&between_key, &ca).unwrap();
    let fog = issue(&pki, "fog:fog-1");
    let car = issue(&pki, "edge:car-1");
    let key = KeyPair::from_pem(&read(&car.folder().join("tls.key"))).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("urn:voltmesh:edge:car-1".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = params.signed_by(&key, &Issuer::new(between, between_key)).unwrap();
    let chain = format!("{}{}", leaf.pem(), certificate.pem());
    std::fs::write(car.folder().join("tls.crt"), chain).unwrap();
    let car = Credentials::load(car.folder()).unwrap();
    list(&pki, &ca, 2, &[]);
    let revoked = RevocationWatch::open(&pki.crl_path(), &fog.ca).unwrap();
    (World { _folder: folder, pki, fog, revoked }, car, serial)
}

fn list(pki: &Pki, ca: &Issuer<'_, KeyPair>, number: u64, serials: &[&[u8]]) {
    let now = OffsetDateTime::now_utc();
    let revoked = |serial: &&[u8]| rcgen::RevokedCertParams {
        serial_number: rcgen::SerialNumber::from_slice(serial),
        revocation_time: now,
        reason_code: None,
        invalidity_date: None,
    };
    let list = rcgen::CertificateRevocationListParams {
        this_update: now - Duration::days(1),
        next_update: now + Duration::days(1),
        crl_number: rcgen::SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    write_public(&pki.crl_path(), list.signed_by(ca).unwrap().pem().unwrap().as_bytes()).unwrap();
}

#[test]
fn an_intermediate_ca_that_the_fleets_ca_does_not_allow() {
    let (world, car, _) = through_an_intermediate(0);
    let error = refused_by_server(&world, &car);
    assert_eq!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer));
}

#[test]
fn an_intermediate_ca_that_is_allowed_until_it_is_revoked() {
    let (world, car, serial) = through_an_intermediate(1);
    let server = world.fog.server_config(&world.revoked).unwrap();
    let client = || car.client_config(Expected::role(Role::Fog), None).unwrap();
    handshake(server.clone(), client()).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let key = KeyPair::from_pem(&read(&world.pki.ca_path().with_file_name("ca.key"))).unwrap();
    let ca = Issuer::from_ca_cert_pem(&read(&world.pki.ca_path()), key).unwrap();
    list(&world.pki, &ca, 3, &[&serial]);
    let (there, _) = handshake(server, client()).unwrap_err();
    assert_eq!(there, Some(Error::InvalidCertificate(CertificateError::Revoked)));
}
