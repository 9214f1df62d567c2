//! Whom a CA certifies again, and with which key.

#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::fs;
use std::path::Path;

use voltmesh_identity::{Error, Identity, KeyForm, OneRole, Pki, Reason, Target, make_request};

fn name(text: &str) -> Identity {
    format!("urn:voltmesh:{text}").parse().unwrap()
}

/// A request of an identity, whose keys are made in a folder of that name.
fn request(folder: &Path, identity: &str) -> Vec<u8> {
    let made = make_request(&folder.join(identity), &name(identity), KeyForm::AsBefore).unwrap();
    fs::read(made.request).unwrap()
}

#[test]
fn a_request_shown_again_lets_nobody_in_again() {
    for reason in Reason::ALL {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::init(&folder.path().join("pki")).unwrap();
        let car = name("edge:car-1");
        let first = request(folder.path(), "edge:car-1");
        pki.sign(&car, &first, &[], 30, false).unwrap();
        // A command that is repeated; the key is in force.
        pki.sign(&car, &first, &[], 30, true).unwrap();
        pki.revoke(&Target::Identity(car.clone()), reason).unwrap();
        for renewal in [false, true] {
            let refused = pki.sign(&car, &first, &[], 30, renewal).unwrap_err();
            let told = refused.to_string();
            assert!(matches!(refused, Error::Request { .. }), "{told}");
            assert!(told.contains("was revoked") && told.contains(reason.as_str()), "{told}");
        }
        // A new key does; then the former one is not brought in by way of a renewal either.
        pki.sign(&car, &request(folder.path(), "edge:car-1"), &[], 30, false).unwrap();
        assert!(matches!(pki.sign(&car, &first, &[], 30, true), Err(Error::Request { .. })));
    }
}

#[test]
fn a_key_has_one_holder() {
    use rcgen::{CertificateParams, KeyPair, SanType};
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let key = KeyPair::generate().unwrap();
    let of = |identity: &str| {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(name(identity).to_string().try_into().unwrap())];
        params.serialize_request(&key).unwrap().pem().unwrap().into_bytes()
    };
    pki.sign(&name("edge:car-1"), &of("edge:car-1"), &[], 30, false).unwrap();
    for other in ["edge:car-2", "client:car-1", "fog:fog-1", "operator:op-1"] {
        let refused = pki.sign(&name(other), &of(other), &[], 30, false).unwrap_err();
        assert!(refused.to_string().contains("edge:car-1"), "{other}: {refused}");
    }
    pki.revoke(&Target::Identity(name("edge:car-1")), Reason::KeyCompromise).unwrap();
    for other in ["edge:car-1", "edge:car-2", "fog:fog-1"] {
        let refused = pki.sign(&name(other), &of(other), &[], 30, false).unwrap_err();
        assert!(refused.to_string().contains("key-compromise"), "{other}: {refused}");
    }
    assert_eq!(pki.show().unwrap().len(), 1, "what is refused is not entered");
}

/// The key that an issued certificate has counts like one from a request: whoever stole it cannot have it certified.
#[test]
fn the_key_of_an_issued_certificate_gets_no_other_one() {
    use rcgen::{CertificateParams, KeyPair, SanType};
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let issued = pki.issue(&name("fog:fog-1"), &[], 30).unwrap();
    let stolen = KeyPair::from_pem(&fs::read_to_string(issued.folder.join("tls.key")).unwrap()).unwrap();
    pki.revoke(&Target::Identity(name("fog:fog-1")), Reason::KeyCompromise).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("urn:voltmesh:fog:fog-1".try_into().unwrap())];
    let request = params.serialize_request(&stolen).unwrap().pem().unwrap();
    let refused = pki.sign(&name("fog:fog-1"), request.as_bytes(), &[], 30, false).unwrap_err();
    assert!(refused.to_string().contains("was revoked"), "{refused}");
}

/// An id goes over to another role; then no way of issuing gives the former one back.
#[test]
fn an_id_that_another_role_has_is_not_renewed_into_two() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init_with(&folder.path().join("pki"), OneRole::Refuse, KeyForm::AsBefore).unwrap();
    let car = name("edge:car-1");
    pki.issue(&car, &[], 30).unwrap();
    pki.revoke(&Target::Identity(car.clone()), Reason::CessationOfOperation).unwrap();
    pki.issue(&name("client:car-1"), &[], 30).unwrap();
    let refusals = [
        pki.issue(&car, &[], 30),
        pki.renew(&car, 30),
        pki.replace(&car, 30),
        pki.sign(&car, &request(folder.path(), "edge:car-1"), &[], 30, false),
        pki.sign(&car, &request(folder.path(), "edge:car-1"), &[], 30, true),
    ];
    for refused in refusals {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::IdTaken { .. }), "{refused}");
    }
    pki.revoke(&Target::Identity(name("client:car-1")), Reason::Superseded).unwrap();
    pki.replace(&car, 30).unwrap();
}

/// Years of a CA, in its index: only what merely ran out is renewed.
#[test]
fn what_was_revoked_is_not_renewed_by_way_of_what_ran_out_before() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let car = name("edge:car-1");
    let index = folder.path().join("pki/index.toml");
    let run_out = |serial: &str| {
        let text = fs::read_to_string(&index).unwrap();
        let mut table: toml::Table = text.parse().unwrap();
        for entry in table["certificate"].as_array_mut().unwrap() {
            if entry["serial"].as_str() == Some(serial) {
                entry.as_table_mut().unwrap().insert("expires_s".to_owned(), 1_000.into());
            }
        }
        fs::write(&index, table.to_string()).unwrap();
    };
    let first = pki.issue(&car, &[], 30).unwrap().entry.serial;
    run_out(&first.to_string());
    let second = pki.renew(&car, 30).expect("it merely ran out").entry.serial;
    let third = pki.renew(&car, 30).unwrap().entry.serial;
    pki.revoke(&Target::Serial(third), Reason::KeyCompromise).unwrap();
    let fourth = pki.renew(&car, 30).expect("the second is in force").entry.serial;
    pki.revoke(&Target::Identity(car.clone()), Reason::PrivilegeWithdrawn).unwrap();
    assert!(pki.show().unwrap().iter().any(|entry| entry.serial == second && entry.revoked.is_some()));
    assert!(pki.show().unwrap().iter().any(|entry| entry.serial == fourth && entry.revoked.is_some()));
    // The first was never revoked: it had run out.
    assert!(matches!(pki.renew(&car, 30), Err(Error::NotFound { .. })));
}
