//! The life of certificates, keys and revocation lists in a folder.
#![allow(clippy::unwrap_used)]

mod odd;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use voltmesh_identity::*;

fn fresh() -> (tempfile::TempDir, Pki) {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    (folder, pki)
}

fn name(text: &str) -> Identity {
    format!("urn:voltmesh:{text}").parse().unwrap()
}

fn watch(pki: &Pki, credentials: &Credentials) -> RevocationWatch {
    RevocationWatch::open(&pki.crl_path(), &credentials.ca).unwrap()
}

fn statuses(pki: &Pki) -> Vec<(String, Status)> {
    let now_s = time::OffsetDateTime::now_utc().unix_timestamp();
    pki.show().unwrap().iter().map(|entry| (entry.identity.folder(), entry.status(now_s))).collect()
}

#[test]
fn a_folder_and_its_modes() {
    let (_folder, pki) = fresh();
    let issued = pki.issue(&name("fog:fog-1"), &["fog.example".into(), "10.1.2.3".into()], 30).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let root = issued.folder.parent().unwrap();
    assert!(issued.folder.ends_with("fog-fog-1"));
    assert_eq!((mode(root), mode(&issued.folder)), (0o700, 0o700));
    for (file, expected) in [
        (root.join("ca.key"), 0o600),
        (root.join("index.toml"), 0o600),
        (root.join("ca.crt"), 0o644),
        (root.join("crl.pem"), 0o644),
        (issued.folder.join("tls.key"), 0o600),
        (issued.folder.join("sign.key"), 0o600),
        (issued.folder.join("sign.pub"), 0o644),
        (issued.folder.join("tls.crt"), 0o644),
        (issued.folder.join("ca.crt"), 0o644),
    ] {
        assert_eq!(mode(&file), expected, "{}", file.display());
    }
    let left: Vec<_> =
        fs::read_dir(&issued.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "{left:?}");

    let credentials = Credentials::load(&issued.folder).unwrap();
    assert_eq!(credentials.own.identity, name("fog:fog-1"));
    assert_eq!(credentials.own.serial, issued.entry.serial);
    assert_eq!(credentials.own.expires_s, issued.entry.expires_s);
    assert!(!format!("{credentials:?}").contains("PRIVATE"));
}

#[test]
fn an_id_belongs_to_one_role_where_the_ca_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let strict = Pki::init_with(&folder.path().join("strict"), OneRole::Refuse, KeyForm::AsBefore).unwrap();
    strict.issue(&name("edge:car-1"), &[], 30).unwrap();
    for second in ["client:car-1", "fog:car-1", "controller:car-1"] {
        let refused = strict.issue(&name(second), &[], 30).unwrap_err();
        assert!(matches!(&refused, Error::IdTaken { .. }), "{refused}");
        assert!(refused.to_string().contains("edge:car-1"), "{refused}");
        assert!(!strict.folder_of(&name(second)).exists(), "no key is left behind");
    }
    strict.revoke(&Target::Identity(name("edge:car-1")), Reason::Superseded).unwrap();
    strict.issue(&name("client:car-1"), &[], 30).unwrap();
    assert!(
        strict.issue(&name("edge:car-1"), &[], 30).is_err(),
        "the policy outlives every change of the index"
    );

    let (_folder, lenient) = fresh();
    lenient.issue(&name("edge:car-1"), &[], 30).unwrap();
    let vehicles = [Role::Edge, Role::Fog];
    lenient.check_one_role("car-1", &vehicles).unwrap();
    assert!(matches!(lenient.check_one_role("car-2", &vehicles), Err(Error::NotFound { .. })));
    lenient.issue(&name("client:car-1"), &[], 30).unwrap();
    assert!(matches!(lenient.check_one_role("car-1", &vehicles), Err(Error::IdTaken { .. })));
    lenient.issue(&name("client:meter-1"), &[], 30).unwrap();
    assert!(matches!(lenient.check_one_role("meter-1", &vehicles), Err(Error::IdTaken { .. })));
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let (_folder, pki) = fresh();
    let folder = pki.issue(&name("fog:fog-1"), &[], 30).unwrap().folder;
    Credentials::load(&folder).unwrap();
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for file in ["tls.key", "sign.key"] {
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
            chmod(&folder.join(file), mode);
            let refused = Credentials::load(&folder).unwrap_err();
            assert!(matches!(refused, Error::Exposed { .. }), "{file} {mode:o}: {refused}");
        }
        chmod(&folder.join(file), 0o400);
        Credentials::load(&folder).unwrap();
    }
    chmod(&pki.ca_path().with_file_name("ca.key"), 0o644);
    assert!(matches!(pki.issue(&name("fog:fog-2"), &[], 30), Err(Error::Exposed { .. })));
}

#[test]
fn a_list_signed_again_says_the_same_with_a_later_number() {
    let (_folder, pki) = fresh();
    let car = pki.issue(&name("edge:car-1"), &[], 30).unwrap();
    let credentials = Credentials::load(&car.folder).unwrap();
    pki.revoke(&Target::Identity(name("edge:car-1")), Reason::Superseded).unwrap();
    let watch = watch(&pki, &credentials);
    pki.renew_crl().unwrap();
    assert!(watch.poll(), "it is taken over as a newer one");
    assert!(watch.is_revoked(&car.entry.serial));
}

#[test]
fn a_life() {
    let (_folder, pki) = fresh();
    let (fog, car) = (name("fog:fog-1"), name("edge:car-1"));
    let first = pki.issue(&fog, &[], 30).unwrap();
    pki.issue(&car, &[], 30).unwrap();
    assert!(matches!(pki.issue(&fog, &[], 30), Err(Error::AlreadyIssued { .. })));
    assert_eq!(
        pki.other_role(&name("client:car-1")).unwrap(),
        Some(car.clone()),
        "an id belongs to one role"
    );
    assert_eq!(pki.other_role(&car).unwrap(), None);
    assert!(matches!(pki.renew(&name("cloud:c"), 30), Err(Error::NotFound { .. })));
    assert!(matches!(pki.issue(&name("cloud:c"), &[], 0), Err(Error::Validity { days: 0 })));
    assert!(matches!(pki.issue(&name("cloud:c"), &["a b".into()], 1), Err(Error::Host { .. })));

    let before = Credentials::load(&first.folder).unwrap();
    let second = pki.renew(&fog, 60).unwrap();
    let after = Credentials::load(&second.folder).unwrap();
    assert_ne!(before.own.serial, after.own.serial);
    assert_eq!(
        before.signing.to_bytes(),
        after.signing.to_bytes(),
        "renewal must not change the signing key"
    );
    let folder = |status| ("fog-fog-1".to_owned(), status);
    let car_row = ("edge-car-1".to_owned(), Status::Valid);
    assert_eq!(statuses(&pki), [folder(Status::Renewed), car_row.clone(), folder(Status::Valid)]);

    let revoked = watch(&pki, &after);
    assert!(revoked.is_empty() && !revoked.poll());
    let ended = pki.revoke(&Target::Identity(fog.clone()), Reason::KeyCompromise).unwrap();
    assert_eq!(ended.len(), 2, "the renewed one ends with it");
    assert!(revoked.poll(), "the list changed");
    assert!(revoked.is_revoked(&before.own.serial) && revoked.is_revoked(&after.own.serial));
    assert_eq!(statuses(&pki), [folder(Status::Revoked), car_row, folder(Status::Revoked)]);
    assert!(matches!(
        pki.revoke(&Target::Identity(fog.clone()), Reason::Unspecified),
        Err(Error::NotFound { .. })
    ));

    let third = pki.issue(&fog, &[], 30).unwrap();
    let fresh = Credentials::load(&third.folder).unwrap();
    assert_ne!(
        fresh.signing.to_bytes(),
        after.signing.to_bytes(),
        "a revoked identity starts over with a new key"
    );
    let one = Target::Serial(third.entry.serial.to_string().parse().unwrap());
    assert_eq!(pki.revoke(&one, Reason::Superseded).unwrap().len(), 1);
    assert!(revoked.poll() && revoked.is_revoked(&third.entry.serial) && revoked.len() == 3);
    assert_eq!(Pki::open(&third.folder.parent().unwrap().join(".")).unwrap().show().unwrap().len(), 4);
}

#[test]
fn a_ca_is_never_overwritten() {
    let (folder, _pki) = fresh();
    assert!(matches!(Pki::init(&folder.path().join("pki")), Err(Error::Exists { .. })));
    assert!(matches!(Pki::open(folder.path()), Err(Error::NoCa { .. })));
}

#[test]
fn a_bad_list_changes_nothing() {
    let (_folder, pki) = fresh();
    let car = pki.issue(&name("edge:car-1"), &[], 30).unwrap();
    let credentials = Credentials::load(&car.folder).unwrap();
    let older = fs::read(pki.crl_path()).unwrap();
    pki.revoke(&Target::Identity(name("edge:car-1")), Reason::KeyCompromise).unwrap();
    let newest = fs::read(pki.crl_path()).unwrap();
    let revoked = watch(&pki, &credentials);
    let (_other_folder, other) = fresh();
    let foreign = fs::read(other.crl_path()).unwrap();
    let mut flipped = newest.clone();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };

    for (what, bytes) in [
        ("older", &older),
        ("foreign", &foreign),
        ("flipped", &flipped),
        ("empty", &Vec::new()),
        ("newest", &newest),
    ] {
        write_public(&pki.crl_path(), bytes).unwrap();
        assert!(!revoked.poll(), "{what}");
        assert!(revoked.is_revoked(&credentials.own.serial), "{what}");
    }
    for kind in odd::KINDS {
        odd::replace(kind, &pki.crl_path());
        assert!(!revoked.poll() && revoked.is_revoked(&credentials.own.serial), "{kind}");
        assert!(RevocationWatch::open(&pki.crl_path(), &credentials.ca).is_err(), "{kind}");
    }
    fs::remove_file(pki.crl_path()).unwrap();
    assert!(!revoked.poll() && revoked.is_revoked(&credentials.own.serial));
    assert_eq!(revoked.generation(), 1);
    // A server does not start without a list of its own CA.
    assert!(RevocationWatch::open(&pki.crl_path(), &credentials.ca).is_err());
    assert!(RevocationWatch::open(&other.crl_path(), &credentials.ca).is_err());
}

#[test]
fn errors_say_where() {
    let (folder, pki) = fresh();
    let car = pki.issue(&name("edge:car-1"), &[], 30).unwrap();
    for file in ["tls.crt", "tls.key", "sign.key", "ca.crt"] {
        let path = car.folder.join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, b"nonsense").unwrap();
        let error = Credentials::load(&car.folder).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("voltmesh pki"), "{error}");
        fs::write(&path, good).unwrap();
    }
    let error = Credentials::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("tls.crt"), "{error}");
}

#[test]
fn two_at_once_lose_nothing() {
    let (_folder, pki) = fresh();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let pki = &pki;
            scope.spawn(move || pki.issue(&name(&format!("edge:car-{n}")), &[], 1).unwrap());
        }
    });
    assert_eq!(pki.show().unwrap().len(), 8);
}

#[test]
fn keys_that_are_lost_are_replaced_and_their_certificates_end() {
    let (_folder, pki) = fresh();
    let fog = name("fog:fog-3");
    assert!(matches!(pki.replace(&fog, 30), Err(Error::NotFound { .. })));
    let first = pki.issue(&fog, &["fog-3.example".into()], 30).unwrap();
    let key = fs::read(first.folder.join("sign.pub")).unwrap();
    assert!(pki.issue(&fog, &[], 30).unwrap_err().to_string().contains("--replace-lost"));
    // What is refused leaves everything in force.
    assert!(matches!(pki.replace(&fog, 0), Err(Error::Validity { .. })));
    assert_eq!(statuses(&pki), [("fog-fog-3".into(), Status::Valid)]);
    let second = pki.replace(&fog, 30).unwrap();
    assert_eq!(second.entry.hosts, ["fog-3.example"]);
    assert_eq!(statuses(&pki), [("fog-fog-3".into(), Status::Revoked), ("fog-fog-3".into(), Status::Valid)]);
    assert_eq!(fs::read(second.folder.join("sign.old.pub")).unwrap(), key);
    assert_ne!(fs::read(second.folder.join("sign.pub")).unwrap(), key);
    let credentials = Credentials::load(&second.folder).unwrap();
    assert_eq!(credentials.own.serial, second.entry.serial);
    // A lost folder is made again.
    fs::remove_dir_all(&second.folder).unwrap();
    let third = pki.replace(&fog, 30).unwrap();
    assert!(!third.folder.join("sign.old.pub").exists());
    Credentials::load(&third.folder).unwrap();
}

/// Keys that are made where they live, and a certificate that a CA makes from the request alone.
#[test]
fn a_request_is_signed_and_its_certificate_installed() {
    let (folder, pki) = fresh();
    let car = name("edge:car-1");
    let home = folder.path().join("car");
    let made = make_request(&home, &car, KeyForm::AsBefore).unwrap();
    let request = fs::read(&made.request).unwrap();
    let issued = pki.sign(&car, &request, &[], 30, false).unwrap();
    assert!(issued.entry.by_request && !issued.folder.join("tls.key").exists(), "the CA has no key");
    assert!(matches!(pki.sign(&car, &request, &[], 30, false), Err(Error::AlreadyIssued { .. })));
    assert!(matches!(pki.renew(&car, 30), Err(Error::KeysElsewhere { .. })));
    let crt = issued.folder.join("tls.crt");
    let own = install(&home, &crt, &pki.ca_path()).unwrap();
    assert_eq!((own.identity, own.serial), (car.clone(), issued.entry.serial));
    let first = Credentials::load(&home).unwrap();

    // A renewal: what is in use stays until the new pair is there.
    let again = make_request(&home, &car, KeyForm::AsBefore).unwrap();
    assert_eq!(Credentials::load(&home).unwrap().own, first.own);
    let refused = install(&home, &crt, &pki.ca_path()).unwrap_err();
    assert!(refused.to_string().contains("another key"), "{refused}");
    let renewed = pki.sign(&car, &fs::read(&again.request).unwrap(), &[], 30, true).unwrap();
    install(&home, &renewed.folder.join("tls.crt"), &pki.ca_path()).unwrap();
    let second = Credentials::load(&home).unwrap();
    assert_eq!(second.own.serial, renewed.entry.serial);
    assert_eq!(second.signing.to_bytes(), first.signing.to_bytes(), "the signing key stays");
    assert_eq!(pki.revoke_former(&car).unwrap().len(), 1);
    assert!(watch(&pki, &second).is_revoked(&first.own.serial));
    assert!(!watch(&pki, &second).is_revoked(&second.own.serial));
    assert_eq!(
        statuses(&pki).into_iter().map(|(_, status)| status).collect::<Vec<_>>(),
        [Status::Revoked, Status::Valid]
    );
}

/// What a request asks for beyond its key is not granted, and one that is not its holder's is refused.
#[test]
fn a_request_grants_itself_nothing() {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
    let (_folder, pki) = fresh();
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let key = KeyPair::generate().unwrap();
    let request = |names: Vec<SanType>, key: &KeyPair| {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serialize_request(key).unwrap().pem().unwrap().into_bytes()
    };
    let car = "urn:voltmesh:edge:car-1";
    let greedy = request(vec![uri(car), SanType::DnsName("fog.example".try_into().unwrap())], &key);
    let issued = pki.sign(&name("edge:car-1"), &greedy, &[], 30, false).unwrap();
    let pem = fs::read(issued.folder.join("tls.crt")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let certificate = pem.parse_x509().unwrap();
    assert!(!certificate.is_ca(), "no CA by its own wish");
    assert!(!certificate.key_usage().unwrap().unwrap().value.key_cert_sign());
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1, "no names by its own wish: {names:?}");
    use rcgen::PublicKeyData as _;
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());

    for (names, why) in [
        (vec![], "0 identities"),
        (vec![uri("urn:voltmesh:fog:fog-1")], "fog-1"),
        (vec![uri("urn:voltmesh:edge:car-2"), uri("urn:voltmesh:cloud:c")], "2 identities"),
    ] {
        let refused = pki.sign(&name("edge:car-2"), &request(names, &key), &[], 30, false).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    // A signature that is another key's: somebody asks for a certificate to a key that is not his.
    let good = request(vec![uri("urn:voltmesh:edge:car-2")], &key);
    let der = x509_parser::pem::parse_x509_pem(&good).unwrap().1.contents;
    let signed = {
        use x509_parser::prelude::FromDer as _;
        let parsed = x509_parser::certification_request::X509CertificationRequest::from_der(&der).unwrap().1;
        parsed.certification_request_info.raw.len()
    };
    // Tag and two bytes of length, then what is signed.
    for at in 3..3 + signed {
        let mut bent = der.clone();
        bent[at] ^= 1;
        let bent = pem::encode("CERTIFICATE REQUEST", &bent);
        assert!(pki.sign(&name("edge:car-2"), bent.as_bytes(), &[], 30, false).is_err(), "byte {at}");
    }
    assert_eq!(statuses(&pki).len(), 1, "what is refused is not entered");
}

#[test]
fn a_next_signing_key_waits_until_it_is_put_in_force() {
    let (_folder, pki) = fresh();
    let folder = pki.issue(&name("cloud:cloud"), &[], 30).unwrap().folder;
    let key = |file: &str| read_signing_key(&folder.join(file)).unwrap().verifying_key();
    let before = key("sign.key");
    assert!(!use_next_signing_key(&folder).unwrap() && key("sign.key") == before);
    let public = make_next_signing_key(&folder).unwrap();
    let (pem, next) = (fs::read(&public).unwrap(), key("sign.key.next"));
    assert_eq!(make_next_signing_key(&folder).unwrap(), public, "one that waits stays");
    assert!(key("sign.key") == before && key("sign.key.next") == next && next != before);
    // A crash between the two renames: the second use ends it.
    fs::rename(folder.join("sign.key.next"), folder.join("sign.key")).unwrap();
    assert!(use_next_signing_key(&folder).unwrap());
    assert_eq!((key("sign.key"), fs::read(folder.join("sign.pub")).unwrap()), (next, pem));
    assert!(!folder.join("sign.key.next").exists() && !public.exists());
}

/// PEM, for tests.
mod pem {
    pub fn encode(label: &str, der: &[u8]) -> String {
        use pkcs8::der::pem::{LineEnding, encode_string};
        encode_string(label, LineEnding::LF, der).unwrap()
    }
}
