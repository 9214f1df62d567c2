//! A session as its application sees it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use voltmesh_identity::Peer;

use crate::pump::Mailbox;
use crate::standing::Standing;
use crate::{Error, Outgoing, Refusal, Token, Version};

/// Tells the sessions of one server apart; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A connected client, as the application sees it. Cheap to clone; usable from any thread.
#[derive(Clone)]
pub struct Session(Arc<Handle>);

/// Parts of a session: who it is, and the way to its task.
pub(crate) struct Handle {
    pub(crate) id: SessionId,
    pub(crate) standing: Standing,
    pub(crate) client_id: String,
    pub(crate) version: Version,
    pub(crate) mailbox: Arc<Mailbox<Command>>,
    /// Publishes handed over and not yet sent.
    pub(crate) outbound: Arc<AtomicUsize>,
    pub(crate) max_outbound: usize,
}

/// Command of the application to a session's task.
pub(crate) enum Command {
    Accept(Token),
    Reject(Token, Refusal),
    Publish(Outgoing),
    Disconnect(Refusal),
}

impl Session {
    pub(crate) fn new(handle: Handle) -> Session {
        Session(Arc::new(handle))
    }

    /// Of this server.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Who it is, from the certificate.
    pub fn peer(&self) -> &Peer {
        &self.0.standing.peer
    }

    /// With all certificates that it has shown.
    pub(crate) fn standing(&self) -> &Standing {
        &self.0.standing
    }

    /// What the client calls this session, or what it was assigned.
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// What the client speaks.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// The publish is durable: acknowledge it. Any order; acknowledgements leave in few writes.
    pub fn accept(&self, token: Token) {
        self.0.mailbox.push([Command::Accept(token)]);
    }

    /// The same for many at once, at the cost of one.
    pub fn accept_all(&self, tokens: impl IntoIterator<Item = Token>) {
        self.0.mailbox.push(tokens.into_iter().map(Command::Accept));
    }

    /// The publish will never be taken, and is kept elsewhere: acknowledge it with this reason. MQTT 5 counts that as
    /// delivered, and MQTT 3.1.1 is told nothing else, so for a failure that may pass, [`Session::disconnect`] with
    /// [`Reason::QUOTA_EXCEEDED`](crate::Reason::QUOTA_EXCEEDED) instead.
    pub fn reject(&self, token: Token, refusal: impl Into<Refusal>) {
        self.0.mailbox.push([Command::Reject(token, refusal.into())]);
    }

    /// Sends to the client. [`ServerEvent::Completed`](crate::ServerEvent::Completed) tells what became of it.
    pub fn publish(&self, item: Outgoing) -> Result<(), Error> {
        if self.0.outbound.fetch_add(1, Ordering::AcqRel) >= self.0.max_outbound {
            self.0.outbound.fetch_sub(1, Ordering::AcqRel);
            return Err(Error::Full);
        }
        if self.0.mailbox.push([Command::Publish(item)]) { Ok(()) } else { Err(Error::Closed) }
    }

    /// Ends the session, telling the client why; an MQTT 3.1.1 client only sees the connection closed. Publishes without
    /// decision stay unacknowledged.
    pub fn disconnect(&self, refusal: impl Into<Refusal>) {
        self.0.mailbox.push([Command::Disconnect(refusal.into())]);
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.0.mailbox.is_closed()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.id.0)
            .field("peer", &self.peer().identity)
            .field("client_id", &self.0.client_id)
            .field("version", &self.0.version)
            .finish()
    }
}
