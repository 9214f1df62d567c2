//! One connection: requests one after the other, each within its times.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use voltmesh_identity::Peer;

use crate::body::{Inbound, Outbound};
use crate::figures::Kind;
use crate::gate::Report;
use crate::offsets;
use crate::owner::{Owner, source};
use crate::pace::Paced;
use crate::problem::finish;
use crate::turns::Turns;
use crate::{Figures, Refusal, Rules, Settings};

/// Of a refused body so much is read and forgotten, so that its sender reads the refusal before it meets a closed socket.
const DRAINED: u64 = 256 << 10;

/// State that all connections of a server share.
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) rules: Rules,
    pub(crate) settings: Settings,
    pub(crate) figures: Arc<Figures>,
    pub(crate) turns: Turns<Owner>,
    /// Where the server listens.
    pub(crate) listens: SocketAddr,
    pub(crate) secure: bool,
    /// True when the server stops.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Both ends of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Who showed a certificate.
    pub(crate) peer: Option<Arc<Peer>>,
}

impl Ends {
    /// Whose turns its requests take.
    fn owner(&self) -> Owner {
        match &self.peer {
            Some(peer) => Owner::Identity(peer.identity.clone()),
            None => Owner::Source(source(self.remote.ip())),
        }
    }

    /// The identity that was shown, or the address.
    fn who(&self) -> String {
        match &self.peer {
            Some(peer) => peer.identity.to_string(),
            None => self.remote.ip().to_canonical().to_string(),
        }
    }
}

/// Serves one connection until it ends, or the server stops and its request is answered.
pub(crate) async fn serve<S>(stream: S, shared: Arc<Shared>, ends: Ends, report: Arc<dyn Report>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let settings = &shared.settings;
    let stream = TokioIo::new(Paced::new(stream, settings.clone(), report.clone()));
    let asked = AtomicBool::new(false);
    let service = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        let (shared, report, ends) = (shared.clone(), report.clone(), ends.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(request, shared, ends, report).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header)
        .max_headers(Settings::HEADER_FIELDS)
        .max_header_size(settings.header_bytes);
    let connection = builder.serve_connection(stream, service);
    tokio::pin!(connection);
    let mut stop = shared.stop.clone();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            timeout(settings.shutdown, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        let kind = match () {
            // Whoever has asked and keeps its connection for a while does nothing wrong.
            () if error.is_timeout() && asked.load(Ordering::Relaxed) => return,
            () if error.is_timeout() => Kind::Timeouts,
            () if error.is_parse() => Kind::Malformed,
            // It went away.
            () => return,
        };
        shared.figures.note(kind, ends.remote, &error);
    }
}

/// Once the server stops, or is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    ends: Ends,
    report: Arc<dyn Report>,
) -> Response {
    report.update(&|activity| activity.in_request = true);
    shared.figures.count(Kind::Requests);
    let (mut parts, incoming) = request.into_parts();
    if let Some(uri) = offsets::escaped(&parts.uri) {
        parts.uri = uri;
    }
    let (body, done) = Inbound::new(incoming, report.clone());
    let settings = &shared.settings;
    let judged = shared.rules.judge(&parts, shared.listens, ends.local, shared.secure).and_then(|()| {
        let declared = body.size_hint().lower();
        if declared > settings.body_bytes as u64 {
            Err(Refusal::TooLarge(settings.body_bytes))
        } else {
            Ok(())
        }
    });
    let path = parts.uri.path();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| path.starts_with(beginning));
    let (read, costly) = (begins(settings.recorded), begins(settings.costly));
    let read = read.then(|| format!("{} {path}", parts.method));
    let answered = match judged {
        Ok(()) => {
            let handler = TowerToHyperService::new(shared.router.clone());
            let handled = async {
                let waits = || shared.figures.count(Kind::CostlyWaits);
                let _turn = match costly {
                    true => Some(shared.turns.wait(ends.owner(), waits).await),
                    false => None,
                };
                handler.call(Request::from_parts(parts, Body::new(body))).await
            };
            tokio::select! {
                answered = handled => match answered {
                    Ok(response) => Ok(response),
                    Err(never) => match never {},
                },
                () = late(&done, settings.body) => Err(Refusal::SlowBody(settings.body.as_secs())),
                () = sleep(settings.answer) => Err(Refusal::SlowAnswer(settings.answer.as_secs())),
            }
        }
        Err(refusal) => {
            drain(&parts.headers, body, settings.body).await;
            Err(refusal)
        }
    };
    if let (Ok(response), Some(what)) = (&answered, read)
        && response.status().is_success()
    {
        shared.figures.enter_read(&ends.who(), &what);
    }
    let response = answered.unwrap_or_else(|refusal| {
        shared.figures.note(Kind::of(&refusal), ends.remote, &refusal);
        refusal.response()
    });
    finish(response).await.map(|body| Body::new(Outbound::new(body, report)))
}

/// Ends when the body has not come in time, never if it has.
async fn late(done: &AtomicBool, limit: Duration) {
    sleep(limit).await;
    if done.load(Ordering::Relaxed) {
        pending::<()>().await;
    }
}

/// Reads a small body that nobody wants. One that waits for `100 Continue` is not asked for.
async fn drain(headers: &HeaderMap, mut body: Inbound, limit: Duration) {
    let size = body.size_hint().upper();
    if headers.contains_key(header::EXPECT) || size.is_none_or(|size| size > DRAINED) {
        return;
    }
    let read = async {
        let mut body = std::pin::Pin::new(&mut body);
        while let Some(Ok(_)) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
    };
    timeout(limit, read).await.ok();
}
