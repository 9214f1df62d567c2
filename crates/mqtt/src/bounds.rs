//! Bounds on the share of a server that one source address and one identity may take.

/// Bounds of connections, handshakes, sessions and publishes of one server.
///
/// Before the handshake a client is known by its source address: an IPv4 address, or the /64 of an IPv6 address. After it
/// by its identity. A bound per source or identity leaves room for the others; where a place can be taken back from
/// somebody who does not use it, it is, so that whoever comes with something to say gets in.
///
/// A connection goes through three places: silent (`max_silent`), handshake (`max_handshakes`), session (`max_sessions`).
/// All three together are `max_connections` at most, each with one descriptor. One whose ClientHello comes in parts has another
/// place (`max_speaking`) before its handshake: it is not to cost as little as a silent one, for it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions at once. Default 4,096.
    pub max_sessions: usize,
    /// Sessions of one identity at once, told apart by client id; the next is refused with 0x97. Default 8: a gateway with
    /// a session for each of its adapters. The same client id again takes its session over (MQTT 5 3.1.4).
    pub sessions_per_identity: usize,
    /// Sessions that only identities that were here before get, while they are away. Default 1,024: a quarter of the
    /// sessions.
    pub reserved_sessions: usize,
    /// Identities remembered after their last session. Default 16,384, four times the sessions: 2 MiB.
    pub remembered_identities: usize,
    /// Connections at once, in whatever state. Default 17,920: 4,096 sessions, 12,288 silent, 1,024 handshakes, 512 that
    /// end. With what a fog node needs for its files that is 19,924 descriptors.
    pub max_connections: usize,
    /// Connections of one source address at once. Default 11,946, two thirds of all: every vehicle of a full node may be
    /// behind one address (network address translation of a mobile operator or a depot), and a third is left to the others.
    pub connections_per_source: usize,
    /// Connections from which nothing has come; at the bound the oldest one of the source that has most
    /// of them is ended. Default 12,288: 10,000 that say nothing until they time out cost 2 KiB each, and the listen queue stays
    /// empty for others. Past that, at 10,000 new connections a second, one stays for a second; a ClientHello follows the
    /// connection at once.
    pub max_silent: usize,
    /// Connections from which a part of a ClientHello has come; at the bound the one that speaks longest ends, of the source
    /// that has most of them. Default 1,024 of some 130 KiB at most: ClientHellos rarely come in parts, and then at once.
    pub max_speaking: usize,
    /// The same of one source address. Default 768: three quarters.
    pub speaking_per_source: usize,
    /// Connections between ClientHello and CONNECT; at the bound the one that has kept the server waiting longest ends,
    /// of the source that has most of them. Default 1,024: at 2,000 a second one stays for half a
    /// second, two round trips of a bad mobile network; some 30 KiB each.
    pub max_handshakes: usize,
    /// Handshakes that wait for the processor; the next is refused, three quarters of them from one address. Default 128: a
    /// client that is let in is answered within 128 × 0.25 ms, whatever comes after it.
    pub max_handshakes_at_work: usize,
    /// Connections between ClientHello and CONNECT of one source address. Default 768: three quarters.
    pub handshakes_per_source: usize,
    /// Handshakes that one source address may begin, per second. Default 2,000: at 0.25 ms of processor time each that is
    /// half a core, and 3,000 vehicles behind one address are back in 2 s.
    pub handshakes_per_source_s: u32,
    /// Source addresses whose rate is remembered. Default 8,192.
    pub remembered_sources: usize,
    /// Publishes that one identity may send, per second; beyond it its sessions are not read from. Default 50,000: a
    /// gateway of 5,000 vehicles at 10 Hz.
    pub publishes_per_identity_s: u32,
    /// Publishes without PUBACK of one identity, after which none of its sessions is read from. Default 8,192: four
    /// sessions with a full window of 2,048.
    pub undecided_per_identity: usize,
}

/// Sessions that are over and still write their last bytes: 512 in a second.
const ENDING: usize = 512;

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds::of_sessions(4096)
    }
}

impl Bounds {
    /// For so many sessions at once: the other bounds in the proportions of the default.
    pub fn of_sessions(max_sessions: usize) -> Bounds {
        let max_sessions = max_sessions.max(1);
        let (max_silent, max_handshakes) = (12_288, 1024);
        let max_connections = max_sessions + max_silent + max_handshakes + ENDING;
        Bounds {
            max_sessions,
            sessions_per_identity: 8,
            reserved_sessions: max_sessions / 4,
            remembered_identities: max_sessions * 4,
            max_connections,
            connections_per_source: max_connections / 3 * 2,
            max_silent,
            max_speaking: max_handshakes,
            speaking_per_source: max_handshakes * 3 / 4,
            max_handshakes,
            max_handshakes_at_work: 128,
            handshakes_per_source: max_handshakes * 3 / 4,
            handshakes_per_source_s: 2_000,
            remembered_sources: 8_192,
            publishes_per_identity_s: 50_000,
            undecided_per_identity: 8_192,
        }
    }

    /// The same with so many connections at most, which is what descriptors are left for: half of them sessions, an eighth
    /// handshakes, an eighth that end, and the rest silent.
    #[must_use]
    pub fn within(self, connections: usize) -> Bounds {
        if connections >= self.max_connections {
            return self;
        }
        let most = |bound: usize, part: usize| bound.min((connections / part).max(1));
        let (max_handshakes, max_sessions) = (most(self.max_handshakes, 8), most(self.max_sessions, 2));
        let max_speaking = most(self.max_speaking, 8);
        let others = max_sessions + max_handshakes + ENDING.min(connections / 8);
        Bounds {
            max_sessions,
            reserved_sessions: self.reserved_sessions.min(max_sessions / 4),
            max_connections: connections.max(4),
            connections_per_source: self.connections_per_source.min((connections / 3 * 2).max(1)),
            max_silent: self.max_silent.min(connections.saturating_sub(others).max(1)),
            max_speaking,
            speaking_per_source: self.speaking_per_source.min((max_speaking * 3 / 4).max(1)),
            max_handshakes,
            handshakes_per_source: self.handshakes_per_source.min((max_handshakes * 3 / 4).max(1)),
            ..self
        }
    }

    /// Each by its name, for `/status`.
    pub(crate) fn figures(&self) -> [(&'static str, u64); 13] {
        [
            ("bound_sessions", self.max_sessions as u64),
            ("bound_sessions_per_identity", self.sessions_per_identity as u64),
            ("bound_sessions_reserved", self.reserved_sessions as u64),
            ("bound_connections", self.max_connections as u64),
            ("bound_connections_per_source", self.connections_per_source as u64),
            ("bound_silent", self.max_silent as u64),
            ("bound_speaking", self.max_speaking as u64),
            ("bound_handshakes", self.max_handshakes as u64),
            ("bound_handshakes_at_work", self.max_handshakes_at_work as u64),
            ("bound_handshakes_per_source", self.handshakes_per_source as u64),
            ("bound_handshakes_per_source_s", self.handshakes_per_source_s.into()),
            ("bound_publishes_per_identity_s", self.publishes_per_identity_s.into()),
            ("bound_undecided_per_identity", self.undecided_per_identity as u64),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_fit_into_the_descriptors_that_are_left() {
        for connections in [1, 16, 100, 512, 3000, 17_919, 17_920, 100_000] {
            let bounds = Bounds::default().within(connections);
            let places = bounds.max_silent + bounds.max_handshakes + bounds.max_sessions;
            assert!(places <= connections.max(4), "{connections}: {bounds:?}");
            assert!(bounds.max_connections <= connections.max(4), "{connections}: {bounds:?}");
            assert!(bounds.reserved_sessions < bounds.max_sessions, "{connections}: {bounds:?}");
            assert!(bounds.connections_per_source <= bounds.max_connections, "{connections}: {bounds:?}");
        }
        assert_eq!(Bounds::default().within(17_920), Bounds::default());
    }
}
