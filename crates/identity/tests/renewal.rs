//! A renewed certificate reaches running processes: real sessions over loopback.
#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod log;
mod odd;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use time::{Duration, OffsetDateTime};
use voltmesh_identity::*;

/// A server and a client that run: their configurations are made once.
struct World {
    _folder: tempfile::TempDir,
    pki: Pki,
    fog: Issued,
    car: Issued,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

fn world() -> World {
    log::start();
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let fog = pki.issue(&name("fog:fog-1"), &[], 30).unwrap();
    let car = pki.issue(&name("edge:car-1"), &[], 30).unwrap();
    let credentials = Credentials::load(&fog.folder).unwrap();
    let revoked = RevocationWatch::open(&pki.crl_path(), &credentials.ca).unwrap();
    let server = credentials.server_config(&revoked).unwrap();
    let credentials = Credentials::load(&car.folder).unwrap();
    let client = credentials.client_config(Expected::role(Role::Fog), Some(&revoked)).unwrap();
    World { _folder: folder, pki, fog, car, server, client }
}

fn name(text: &str) -> Identity {
    format!("urn:voltmesh:{text}").parse().unwrap()
}

struct Session {
    server: StreamOwned<ServerConnection, TcpStream>,
    client: StreamOwned<ClientConnection, TcpStream>,
}

impl World {
    fn connect(&self) -> Session {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = self.client.clone();
        let client = thread::spawn(move || {
            let mut socket = TcpStream::connect(address).unwrap();
            let mut connection = ClientConnection::new(config, server_name()).unwrap();
            connection.complete_io(&mut socket).unwrap();
            StreamOwned::new(connection, socket)
        });
        let mut socket = listener.accept().unwrap().0;
        let mut connection = ServerConnection::new(self.server.clone()).unwrap();
        connection.complete_io(&mut socket).unwrap();
        let server = StreamOwned::new(connection, socket);
        Session { server, client: client.join().unwrap() }
    }

    /// Whom a new session shows: the fog node to the car, and the car to the fog node.
    fn shown(&self) -> (Peer, Peer) {
        let session = self.connect();
        let peer = |chain: Option<&[_]>| Peer::from_der(&chain.unwrap()[0]).unwrap();
        (peer(session.client.conn.peer_certificates()), peer(session.server.conn.peer_certificates()))
    }

    fn shown_serials(&self) -> (Serial, Serial) {
        let (fog, car) = self.shown();
        (fog.serial, car.serial)
    }

    /// A pair that the CA signed for the fog node, in a folder of its own.
    fn forge(&self, change: impl FnOnce(&mut CertificateParams)) -> PathBuf {
        let read = |file: &str| fs::read_to_string(self.pki.ca_path().with_file_name(file)).unwrap();
        let ca_key = KeyPair::from_pem(&read("ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("ca.crt"), ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI("urn:voltmesh:fog:fog-1".try_into().unwrap())];
        change(&mut params);
        let folder = self.fog.folder.with_file_name("forged");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
        fs::write(folder.join("tls.crt"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        folder
    }

    /// Replaces one of the fog node's files.
    fn replace(&self, file: &str, from: &Path) {
        write_private(&self.fog.folder.join(file), &fs::read(from.join(file)).unwrap()).unwrap();
    }

    fn replace_both(&self, from: &Path) {
        self.replace("tls.key", from);
        self.replace("tls.crt", from);
    }

    fn warnings(&self) -> Vec<String> {
        log::lines(&["WARN", self.fog.folder.to_str().unwrap()])
    }
}

impl Session {
    fn talk(&mut self) {
        let mut heard = [0; 4];
        self.client.write_all(b"ping").unwrap();
        self.server.read_exact(&mut heard).unwrap();
        self.server.write_all(&heard).unwrap();
        self.client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"ping");
    }
}

#[test]
fn a_server_takes_it_and_its_older_session_goes_on() {
    let world = world();
    let mut older = world.connect();
    older.talk();
    let renewed = world.pki.renew(&name("fog:fog-1"), 60).unwrap().entry;
    let (fog, car) = world.shown();
    assert_eq!((fog.serial, fog.expires_s), (renewed.serial, renewed.expires_s));
    assert_eq!(car.serial, world.car.entry.serial);
    older.talk();
    assert_eq!(world.warnings(), Vec::<String>::new());
}

#[test]
fn a_client_takes_it_and_its_older_session_goes_on() {
    let world = world();
    let mut older = world.connect();
    let renewed = world.pki.renew(&name("edge:car-1"), 60).unwrap().entry;
    let (fog, car) = world.shown();
    assert_eq!((car.serial, car.expires_s), (renewed.serial, renewed.expires_s));
    assert_eq!(fog.serial, world.fog.entry.serial);
    older.talk();
}

#[test]
fn the_log_tells_before_anyone_connects() {
    let world = world();
    let serial = world.pki.renew(&name("fog:fog-1"), 60).unwrap().entry.serial.to_string();
    log::wait_for(&["INFO", "in force", &serial]);
    assert_eq!(world.shown().0.serial.to_string(), serial);
}

#[test]
fn no_session_fails_while_certificates_are_renewed() {
    let world = world();
    thread::scope(|scope| {
        let renewing = scope.spawn(|| {
            for who in ["fog:fog-1", "edge:car-1"].repeat(8) {
                world.pki.renew(&name(who), 60).unwrap();
            }
        });
        while !renewing.is_finished() {
            world.connect().talk();
        }
    });
    let newest = |who| {
        let issued = world.pki.show().unwrap();
        issued.into_iter().rfind(|entry| entry.identity == name(who)).unwrap().serial
    };
    assert_eq!(world.shown_serials(), (newest("fog:fog-1"), newest("edge:car-1")));
}

#[test]
fn half_a_pair_is_never_shown() {
    for order in [["tls.key", "tls.crt"], ["tls.crt", "tls.key"]] {
        let world = world();
        let forged = world.forge(|_| {});
        world.replace(order[0], &forged);
        assert_eq!(world.shown().0.serial, world.fog.entry.serial, "{order:?}");
        world.replace(order[1], &forged);
        assert_ne!(world.shown().0.serial, world.fog.entry.serial, "{order:?}");
    }
}

/// A change of the fog node's files, and what the warning must say.
type Case = (&'static str, fn(&World), &'static [&'static str]);

const REFUSED: [Case; 7] = [
    (
        "another identity",
        |world| world.replace_both(&world.pki.issue(&name("fog:fog-2"), &[], 30).unwrap().folder),
        &["tls.crt", "urn:voltmesh:fog:fog-2", "urn:voltmesh:fog:fog-1", "voltmesh pki"],
    ),
    (
        "the key of another certificate",
        |world| world.replace("tls.key", &world.forge(|_| {})),
        &["tls.key", "another certificate", "voltmesh pki"],
    ),
    (
        "a certificate without its key",
        |world| world.replace("tls.crt", &world.forge(|_| {})),
        &["tls.key", "another certificate", "voltmesh pki"],
    ),
    (
        "another CA",
        |world| {
            let folder = tempfile::tempdir().unwrap();
            let other = Pki::init(folder.path()).unwrap();
            world.replace_both(&other.issue(&name("fog:fog-1"), &[], 30).unwrap().folder);
        },
        &["tls.crt", "invalid peer certificate", "voltmesh pki"],
    ),
    (
        "past its time",
        |world| {
            let yesterday = OffsetDateTime::now_utc() - Duration::DAY;
            world.replace_both(&world.forge(|params| params.not_after = yesterday));
        },
        &["tls.crt", "expired", "voltmesh pki"],
    ),
    (
        "a key whose line breaks were lost",
        |world| {
            let path = world.fog.folder.join("tls.key");
            let line = fs::read_to_string(&path).unwrap().replace('\n', " ");
            write_private(&path, line.as_bytes()).unwrap();
        },
        &["tls.key", "no key in it can be read", "voltmesh pki"],
    ),
    (
        "no certificate",
        |world| fs::remove_file(world.fog.folder.join("tls.crt")).unwrap(),
        &["cannot read", "tls.crt", "until the files are corrected"],
    ),
];

/// At once, since each waits for the log.
#[test]
fn what_is_not_taken() {
    thread::scope(|scope| {
        for case in REFUSED {
            scope.spawn(move || refused(case));
        }
    });
}

/// It is not shown, one warning says why, and the next renewal is taken again.
fn refused((what, change, reasons): Case) {
    let world = world();
    let first = &world.fog.entry.serial;
    let mut older = world.connect();
    change(&world);
    assert_eq!(world.shown().0.serial, *first, "{what}");
    log::wait_for(&[&["WARN", world.fog.folder.to_str().unwrap(), "stays"], reasons].concat());
    assert_eq!(world.shown().0.serial, *first, "{what}");
    older.talk();

    // When the files are looked at again, there is nothing more to say.
    let other = world.pki.renew(&name("edge:car-1"), 60).unwrap().entry.serial;
    log::wait_for(&["INFO", &other.to_string()]);
    let warnings = world.warnings();
    assert!(warnings.len() == 1 && !warnings[0].contains("PRIVATE"), "{what}: {warnings:?}");

    let renewed = world.pki.renew(&name("fog:fog-1"), 60).unwrap().entry;
    assert_eq!(world.shown().0.serial, renewed.serial, "{what}");
    assert_eq!(world.warnings(), warnings, "{what}");
}

/// A named pipe at the place of a file would hold up every handshake, if it were opened.
#[test]
fn what_is_no_file_holds_up_nobody() {
    let world = world();
    let before = world.shown_serials();
    for file in ["tls.crt", "tls.key"] {
        let path = world.fog.folder.join(file);
        let kept = fs::read(&path).unwrap();
        for kind in odd::KINDS {
            odd::replace(kind, &path);
            assert_eq!(world.shown_serials(), before, "{kind} at {file}");
        }
        fs::remove_file(&path).unwrap();
        write_private(&path, &kept).unwrap();
    }
    let renewed = world.pki.renew(&name("fog:fog-1"), 60).unwrap().entry.serial;
    assert_eq!(world.shown_serials().0, renewed, "and afterwards all is as ever");
}

#[test]
fn one_whose_time_comes_is_taken_then() {
    let world = world();
    let soon = OffsetDateTime::now_utc() + Duration::seconds(3);
    world.replace_both(&world.forge(|params| params.not_before = soon));
    let former = &world.fog.entry.serial;
    assert_eq!(world.shown().0.serial, *former);
    log::wait_for(&["INFO", "in force", &former.to_string()]);
    assert_ne!(world.shown().0.serial, *former);
    assert!(OffsetDateTime::now_utc().unix_timestamp() >= soon.unix_timestamp());
    assert!(world.warnings().len() <= 1, "{:?}", world.warnings());
}
