//! Client certificates: who may come in, and for how long.

use super::*;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use voltmesh_identity::{Credentials, Expected, Identity, Pki, RevocationWatch, Role, server_name};

struct Site {
    _folder: tempfile::TempDir,
    pki: Pki,
    server: Server,
    figures: Arc<Figures>,
}

impl Site {
    async fn start(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::init(&folder.path().join("pki")).unwrap();
        for identity in ["cloud:cloud-1", "operator:op-1", "operator:op-2", "edge:car-1"] {
            pki.issue(&format!("urn:voltmesh:{identity}").parse().unwrap(), &[], 1).unwrap();
        }
        let own = Credentials::load(&pki.folder_of(&identity("cloud:cloud-1"))).unwrap();
        let revoked = RevocationWatch::open(&pki.crl_path(), &own.ca).unwrap();
        let tls = Tls { config: own.server_config(&revoked).unwrap(), revoked, roles: &[Role::Operator] };
        let (server, figures) = start(settings, Some(tls)).await;
        Self { _folder: folder, pki, server, figures }
    }

    async fn connect(&self, who: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let own = Credentials::load(&self.pki.folder_of(&identity(who))).unwrap();
        let tls = own.client_config(Expected::role(Role::Cloud), None).unwrap();
        let mut tls = (*tls).clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsConnector::from(Arc::new(tls)).connect(server_name(), connect(self.server.address()).await).await
    }
}

fn identity(who: &str) -> Identity {
    format!("urn:voltmesh:{who}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_clients_connection_ends_though_it_was_kept_alive() {
    let site =
        Site::start(Settings { revocation_poll: Duration::from_millis(20), ..Settings::default() }).await;
    let mut revoked = site.connect("operator:op-1").await.unwrap();
    let mut other = site.connect("operator:op-2").await.unwrap();
    for stream in [&mut revoked, &mut other] {
        assert_eq!(ask(stream, FINE).await.0, 200);
    }
    // A request under way ends as well.
    let mut under_way = site.connect("operator:op-1").await.unwrap();
    under_way.write_all(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    site.pki
        .revoke(
            &voltmesh_identity::Target::Identity(identity("operator:op-1")),
            voltmesh_identity::Reason::KeyCompromise,
        )
        .unwrap();
    assert!(ends(&mut revoked).await.is_empty());
    assert!(ends(&mut under_way).await.is_empty());
    assert_eq!(ask(&mut other, FINE).await.0, 200, "others stay");
    assert_eq!(figure(&site.figures, "http_certificates_ended"), 2);
    let again = match site.connect("operator:op-1").await {
        Ok(mut stream) => {
            stream.write_all(FINE.as_bytes()).await.ok();
            read(&mut stream).await
        }
        Err(_) => None,
    };
    assert_eq!(again, None, "it does not come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_handshakes_and_other_roles_keep_nobody_out() {
    let site = Site::start(Settings::default()).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(connect(site.server.address()).await);
    }
    let mut honest = timeout(PATIENCE, site.connect("operator:op-1")).await.expect("a handshake").unwrap();
    assert_eq!(timeout(PATIENCE, ask(&mut honest, FINE)).await.unwrap().0, 200);
    assert!(ends(&mut silent[0]).await.is_empty(), "the oldest silent one gave way");
    let mut vehicle = site.connect("edge:car-1").await.unwrap();
    vehicle.write_all(FINE.as_bytes()).await.ok();
    assert!(ends(&mut vehicle).await.is_empty(), "its role may not ask");
    // Silent handshakes took no place of those that have shown a certificate.
    assert_eq!(ask(&mut honest, FINE).await.0, 200);
    assert!(figure(&site.figures, "http_gave_way") >= 200);
    assert_eq!(figure(&site.figures, "http_tls_refused"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_handshake_holds_up_no_shutdown() {
    let hour = Duration::from_secs(3600);
    let site = Site::start(Settings { handshake: hour, shutdown: hour, ..Settings::default() }).await;
    let mut silent = connect(site.server.address()).await;
    // One that came after it is through: it has been taken in.
    site.connect("operator:op-1").await.unwrap();
    timeout(PATIENCE, site.server.shutdown()).await.expect("it stops");
    assert!(ends(&mut silent).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_certificate_takes_no_place_of_another() {
    let site =
        Site::start(Settings { connections: 8, connections_per_source: 4, ..Settings::default() }).await;
    let mut honest = site.connect("operator:op-2").await.unwrap();
    assert_eq!(ask(&mut honest, FINE).await.0, 200);
    let mut hoarded = Vec::new();
    for _ in 0..40 {
        hoarded.push(site.connect("operator:op-1").await.unwrap());
    }
    assert!(ends(&mut hoarded[0]).await.is_empty());
    assert_eq!(ask(&mut honest, FINE).await.0, 200);
}
