//! Admission of connections and handshakes, by source address, before anybody is known. No clock, no socket.

mod pool;
mod rates;
mod source;

pub(crate) use source::Source;

use std::collections::HashMap;
use std::time::Duration;

use crate::session::SessionId;
use crate::{Bounds, Moment};
use pool::Pool;
use rates::Rates;

/// The bound that kept a connection out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refused {
    /// `connections_per_source`, all of them in use.
    Source,
    /// `max_connections`, all of them in use.
    Total,
    /// `handshakes_per_source_s`.
    Rate,
    /// `max_handshakes_at_work`, or another bound of handshakes, all of them at work.
    Busy,
}

/// Decision on a connection that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is in; these are ended for it.
    In(Vec<SessionId>),
    /// Ask again then: whom it would replace has had no time to say anything. Meanwhile those behind it wait in the listen
    /// queue, where what they say is kept.
    Later(Moment),
    /// It must go.
    Refused(Refused),
}

/// No connection is ended sooner. A client's ClientHello follows its last packet of the TCP handshake at once, so this is not
/// for the path but for a slow client. With 12,288 places for silent ones, 600,000 connections a second are not held up.
const TIME_TO_SPEAK: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has come.
    Silent,
    /// A part of its ClientHello has come, since then.
    Speaking(Moment),
    /// Between ClientHello and CONNECT; since when the server has waited for the client, if it does.
    Handshake { waits: Option<Moment> },
    /// Past CONNECT.
    Session,
}

#[derive(Debug)]
struct Connection {
    source: Source,
    since: Moment,
    stage: Stage,
}

/// All connections of a server.
///
/// Never more than the bounds; a connection that is ended to make room is one that does nothing, the oldest of the source
/// that has most of these. A source with fewer of them than another loses none.
#[derive(Debug)]
pub(crate) struct Admission {
    bounds: Bounds,
    connections: HashMap<SessionId, Connection>,
    /// Connections and, among them, handshakes.
    sources: HashMap<Source, (usize, usize)>,
    handshakes: usize,
    silent: Pool,
    speaking: Pool,
    /// Handshakes in which the server waits for the client.
    waiting: Pool,
    rates: Rates,
}

impl Admission {
    pub(crate) fn new(bounds: Bounds) -> Admission {
        Admission {
            rates: Rates::new(bounds.handshakes_per_source_s, bounds.remembered_sources),
            bounds,
            connections: HashMap::new(),
            sources: HashMap::new(),
            handshakes: 0,
            silent: Pool::default(),
            speaking: Pool::default(),
            waiting: Pool::default(),
        }
    }

    /// A connection has come.
    pub(crate) fn arrive(&mut self, now: Moment, id: SessionId, source: Source) -> Arrival {
        let own = self.sources.get(&source).map_or(0, |(connections, _)| *connections);
        let share = if own >= self.bounds.connections_per_source {
            let idle = self.idle().into_iter().find_map(|pool| pool.oldest_of(source));
            Some(idle.ok_or(Refused::Source))
        } else if self.connections.len() >= self.bounds.max_connections {
            let idle = self.idle().into_iter().find_map(Pool::oldest_of_most);
            Some(idle.ok_or(Refused::Total))
        } else {
            None
        };
        let share = match share.transpose() {
            Ok(share) => share,
            Err(refused) => return Arrival::Refused(refused),
        };
        // A silent one that goes for its share makes room here, too.
        let freed = share.is_some_and(|(_, id)| self.is_silent(id));
        let full = self.silent.len() >= self.bounds.max_silent && !freed;
        let silent = if full { self.silent.oldest_of_most() } else { None };
        if let Some(since) = share.iter().chain(&silent).map(|(since, _)| *since).max()
            && now < since.after(TIME_TO_SPEAK)
        {
            return Arrival::Later(since.after(TIME_TO_SPEAK));
        }
        let ended: Vec<_> = share.into_iter().chain(silent).map(|(_, id)| id).collect();
        ended.iter().for_each(|ended| self.leave(*ended));
        self.sources.entry(source).or_default().0 += 1;
        self.silent.insert(source, now, id);
        self.connections.insert(id, Connection { source, since: now, stage: Stage::Silent });
        Arrival::In(ended)
    }

    /// Those that may be ended, those that cost least first: they are most.
    fn idle(&self) -> [&Pool; 3] {
        [&self.silent, &self.speaking, &self.waiting]
    }

    fn is_silent(&self, id: SessionId) -> bool {
        self.connections.get(&id).is_some_and(|it| it.stage == Stage::Silent)
    }

    /// A part of its ClientHello has come: it costs as much as a handshake from now on. Also which one to end for it.
    pub(crate) fn speaks(&mut self, now: Moment, id: SessionId) -> Option<SessionId> {
        let source = self.connections.get(&id)?.source;
        let victim = if self.speaking.len_of(source) >= self.bounds.speaking_per_source {
            self.speaking.oldest_of(source)
        } else if self.speaking.len() >= self.bounds.max_speaking {
            self.speaking.oldest_of_most()
        } else {
            None
        };
        let victim = victim.map(|(_, victim)| victim);
        victim.inspect(|victim| self.leave(*victim));
        self.stage(id, Stage::Speaking(now));
        victim
    }

    /// Its ClientHello is complete: it may begin its handshake, or must go. Also which one to end for it.
    pub(crate) fn hello(&mut self, now: Moment, id: SessionId) -> Result<Option<SessionId>, Refused> {
        // Ended meanwhile.
        let Some(connection) = self.connections.get(&id) else { return Err(Refused::Busy) };
        let source = connection.source;
        let own = self.sources.get(&source).map_or(0, |(_, handshakes)| *handshakes);
        let (at_work, own_at_work) =
            (self.handshakes - self.waiting.len(), own - self.waiting.len_of(source));
        let most = self.bounds.max_handshakes_at_work;
        if at_work >= most || own_at_work >= (most * 3 / 4).max(1) {
            return Err(Refused::Busy);
        }
        let victim = if own >= self.bounds.handshakes_per_source {
            Some(self.waiting.oldest_of(source).ok_or(Refused::Busy)?.1)
        } else if self.handshakes >= self.bounds.max_handshakes {
            Some(self.waiting.oldest_of_most().ok_or(Refused::Busy)?.1)
        } else {
            None
        };
        if !self.rates.take(now, source) {
            return Err(Refused::Rate);
        }
        victim.inspect(|victim| self.leave(*victim));
        self.stage(id, Stage::Handshake { waits: None });
        Ok(victim)
    }

    /// The server waits for the client since now, or no longer.
    pub(crate) fn waits(&mut self, id: SessionId, since: Option<Moment>) {
        if self.connections.get(&id).is_some_and(|it| matches!(it.stage, Stage::Handshake { .. })) {
            self.stage(id, Stage::Handshake { waits: since });
        }
    }

    /// Its CONNECT has come: nothing takes its place from it any more. False if it was ended before.
    pub(crate) fn connected(&mut self, id: SessionId) -> bool {
        self.stage(id, Stage::Session)
    }

    /// It is gone.
    pub(crate) fn leave(&mut self, id: SessionId) {
        self.unplace(id);
        let Some(gone) = self.connections.remove(&id) else { return };
        if let Some(own) = self.sources.get_mut(&gone.source) {
            own.0 -= 1;
            if own.0 == 0 {
                self.sources.remove(&gone.source);
            }
        }
    }

    /// Connections, those that are silent, those that have said a part of their ClientHello, and handshakes.
    pub(crate) fn figures(&self) -> [usize; 4] {
        [self.connections.len(), self.silent.len(), self.speaking.len(), self.handshakes]
    }

    fn stage(&mut self, id: SessionId, stage: Stage) -> bool {
        self.unplace(id);
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        connection.stage = stage;
        match stage {
            Stage::Speaking(since) => self.speaking.insert(connection.source, since, id),
            Stage::Handshake { waits } => {
                self.handshakes += 1;
                self.sources.entry(connection.source).or_default().1 += 1;
                if let Some(since) = waits {
                    self.waiting.insert(connection.source, since, id);
                }
            }
            Stage::Silent | Stage::Session => {}
        }
        true
    }

    /// Takes it out of the place that its stage has given it.
    fn unplace(&mut self, id: SessionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        match connection.stage {
            Stage::Silent => self.silent.remove(connection.source, connection.since, id),
            Stage::Speaking(since) => self.speaking.remove(connection.source, since, id),
            Stage::Handshake { waits } => {
                self.handshakes -= 1;
                if let Some(own) = self.sources.get_mut(&connection.source) {
                    own.1 -= 1;
                }
                if let Some(since) = waits {
                    self.waiting.remove(connection.source, since, id);
                }
            }
            Stage::Session => {}
        }
    }
}

#[cfg(test)]
mod tests;
