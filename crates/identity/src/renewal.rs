//! A renewed certificate and its key, taken over by a running process.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;

use crate::pair::{Pair, read_certificates};
use crate::tls::{Side, verify};
use crate::{Error, Peer, files};

/// Interval at which files are looked at while nobody connects, and the time that they must have been still before a refusal
/// is told: a renewal half done looks like a wrong one.
const PAUSE: Duration = Duration::from_secs(1);

/// Files that a renewal replaces.
const WATCHED_FILES: [&str; 2] = ["tls.crt", "tls.key"];

/// Certificate and TLS key of one folder, kept up to date from its files. Configurations share it.
///
/// Every handshake looks at the files, which costs two `stat` while nothing has changed; a thread does so each second,
/// so that the log tells of a renewal before anyone connects. Sessions that are there go on with what they began with.
/// A pair that does not belong together, that peers would refuse, or that names somebody else changes nothing but the
/// log.
pub(crate) struct RenewalWatch {
    folder: PathBuf,
    /// Stays as it was read: one CA for the life of a process.
    pub(crate) ca: CertificateDer<'static>,
    state: Mutex<State>,
}

struct State {
    stamps: Stamps,
    pair: Pair,
    refused: Option<Refused>,
    /// A new certificate must be good for what the present one is used for.
    sides: BTreeSet<Side>,
}

type Stamps = [Option<files::Stamp>; 2];

struct Refused {
    at: Instant,
    told: bool,
}

impl RenewalWatch {
    /// Reads the first pair as it is: whether its time has come is for peers to judge.
    pub(crate) fn open(folder: &Path) -> Result<Arc<RenewalWatch>, Error> {
        let stamps = stamps(folder);
        let pair = Pair::read(folder)?;
        let ca = read_certificates(&folder.join("ca.crt"))?.swap_remove(0);
        let state = Mutex::new(State { stamps, pair, refused: None, sides: BTreeSet::new() });
        Ok(Arc::new(RenewalWatch { folder: folder.to_path_buf(), ca, state }))
    }

    /// For a configuration of that side; from then on the files are looked at each second.
    pub(crate) fn resolver(self: &Arc<Self>, side: Side) -> Arc<RenewalWatch> {
        let first = {
            let mut state = lock(&self.state);
            let first = state.sides.is_empty();
            state.sides.insert(side);
            first
        };
        if first {
            look_after(self);
        }
        self.clone()
    }

    /// Whose certificate is in force.
    pub(crate) fn own(&self) -> Peer {
        lock(&self.state).pair.own.clone()
    }

    /// Looks whether the files have changed, takes them over if they are good, and returns what is in force now.
    fn look(&self) -> Arc<CertifiedKey> {
        let mut state = lock(&self.state);
        let now = stamps(&self.folder);
        let changed = now != state.stamps;
        // What was refused may have been half of a renewal, or not yet in its time by a clock that is behind.
        if changed || state.refused.as_ref().is_some_and(|refused| refused.at.elapsed() >= PAUSE) {
            let told = state.refused.take().is_some_and(|refused| refused.told && !changed);
            state.stamps = now;
            match self.read(&state) {
                Ok(fresh) => state.take(fresh),
                Err(error) => {
                    if !changed && !told {
                        self.tell(&error, &state);
                    }
                    state.refused = Some(Refused { at: Instant::now(), told: !changed });
                }
            }
        }
        state.pair.certified.clone()
    }

    fn read(&self, state: &State) -> Result<Pair, Error> {
        for file in WATCHED_FILES {
            files::check_regular(&self.folder.join(file), "a certificate or its key")?;
        }
        let fresh = Pair::read(&self.folder)?;
        if fresh.same(&state.pair) {
            return Ok(fresh);
        }
        let path = self.folder.join("tls.crt");
        let (new, old) = (&fresh.own.identity, &state.pair.own.identity);
        if new != old {
            let problem = format!("it belongs to {new}, this process is {old}");
            return Err(Error::content(&path, "a renewed certificate", problem));
        }
        for side in &state.sides {
            verify(*side, &fresh.certified.cert, &self.ca)
                .map_err(|problem| Error::content(&path, "a certificate that peers accept", problem))?;
        }
        Ok(fresh)
    }

    fn tell(&self, error: &Error, state: &State) {
        let cause: &dyn std::error::Error = error;
        let own = &state.pair.own;
        tracing::warn!(error = cause, identity = %own.identity, serial = %own.serial,
            "cannot take over the renewed certificate; the one in force stays until the files are corrected");
    }
}

impl State {
    fn take(&mut self, fresh: Pair) {
        if fresh.same(&self.pair) {
            return;
        }
        let (own, former) = (&fresh.own, &self.pair.own.serial);
        tracing::info!(identity = %own.identity, serial = %own.serial, %former, expires_s = own.expires_s,
            "a renewed certificate is in force for new sessions");
        self.pair = fresh;
    }
}

impl ResolvesServerCert for RenewalWatch {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.look())
    }
}

impl ResolvesClientCert for RenewalWatch {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.look())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for RenewalWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewalWatch").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// All that this process uses; one thread for them, since a load generator is hundreds of clients.
static WATCHED: Mutex<Vec<Weak<RenewalWatch>>> = Mutex::new(Vec::new());

fn look_after(watch: &Arc<RenewalWatch>) {
    static START: Once = Once::new();
    lock(&WATCHED).push(Arc::downgrade(watch));
    START.call_once(|| {
        let started = thread::Builder::new().name("tls-renewal".to_owned()).spawn(|| {
            loop {
                thread::sleep(PAUSE);
                look_at_all();
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "no thread for renewed certificates; they are taken over when somebody connects");
        }
    });
}

fn look_at_all() {
    let live: Vec<_> = {
        let mut watched = lock(&WATCHED);
        watched.retain(|watch| watch.strong_count() > 0);
        watched.iter().filter_map(Weak::upgrade).collect()
    };
    for watch in live {
        watch.look();
    }
}

fn stamps(folder: &Path) -> Stamps {
    WATCHED_FILES.map(|file| files::stamp(&folder.join(file)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
