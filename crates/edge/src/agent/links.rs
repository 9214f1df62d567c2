//! Which fog node to use: the nearest by measured round trip that answers.

use super::rules::{FogIndex, Rules};
use voltmesh_telemetry::Timestamp;

/// What the choice of links asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// With how many times the configured limit.
    Connect(FogIndex, u32),
    Disconnect(FogIndex),
    Measure(FogIndex),
    Ping(FogIndex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Connecting,
    Up { heard: Timestamp, pinged: bool },
}

#[derive(Clone, Debug)]
struct Link {
    state: State,
    failures: u32,
    /// Attempts to connect that failed since the last one that did not.
    refused: u32,
    not_before: Timestamp,
    /// Preferred only if nothing else is there: it may swallow data.
    avoid_until: Timestamp,
    round_trip_us: Option<u64>,
}

/// After the first measurement has started, wait so long for an answer before connecting to any node.
const FIRST_ANSWER_MS: u64 = 300;
/// A node must be nearer by a third and 5 ms, or changing to it is not worth the reconnect.
const MARGIN_US: u64 = 5_000;
/// After so many attempts that failed the next one may take no longer still: eight times the limit, for a path with a round trip of
/// seconds.
const MOST_DOUBLINGS: u32 = 3;

pub(super) struct Links {
    links: Vec<Link>,
    primary: Option<FogIndex>,
    /// Being connected to while the primary still serves.
    candidate: Option<FogIndex>,
    measure_at: Timestamp,
    first_answer_by: Option<Timestamp>,
    started: bool,
    failovers: u64,
    random: u64,
    back_off_ms: u64,
    back_off_max_ms: u64,
    ping_after_ms: u64,
    measure_every_ms: u64,
}

impl Links {
    pub fn new(rules: &Rules) -> Self {
        let link = Link {
            state: State::Idle,
            failures: 0,
            refused: 0,
            not_before: Timestamp::default(),
            avoid_until: Timestamp::default(),
            round_trip_us: None,
        };
        Self {
            links: vec![link; rules.fogs.len()],
            primary: None,
            candidate: None,
            measure_at: Timestamp::default(),
            first_answer_by: None,
            started: false,
            failovers: 0,
            random: rules.seed,
            back_off_ms: rules.back_off_ms.max(1),
            back_off_max_ms: rules.back_off_max_ms.max(1),
            ping_after_ms: rules.ping_after_ms,
            measure_every_ms: rules.measure_every_ms.max(1000),
        }
    }

    /// The node that batches are sent to, if its session is open.
    pub fn usable(&self) -> Option<FogIndex> {
        self.primary.filter(|fog| matches!(self.links[fog.0].state, State::Up { .. }))
    }

    pub fn is_primary(&self, fog: FogIndex) -> bool {
        self.primary == Some(fog)
    }

    pub fn failovers(&self) -> u64 {
        self.failovers
    }

    pub fn connected(&mut self, now: Timestamp, fog: FogIndex, round_trip_us: u64) -> Vec<Act> {
        let Some(link) = self.links.get_mut(fog.0) else { return Vec::new() };
        link.state = State::Up { heard: now, pinged: false };
        (link.failures, link.refused) = (0, 0);
        link.round_trip_us.get_or_insert(round_trip_us);
        if self.candidate == Some(fog) {
            self.candidate = None;
            let old = self.primary.replace(fog).filter(|old| *old != fog);
            return old.map(|old| self.drop_link(old)).into_iter().collect();
        }
        if self.primary.is_none() {
            self.primary = Some(fog);
        }
        if self.primary == Some(fog) { Vec::new() } else { vec![self.drop_link(fog)] }
    }

    fn drop_link(&mut self, fog: FogIndex) -> Act {
        self.links[fog.0].state = State::Idle;
        Act::Disconnect(fog)
    }

    pub fn lost(&mut self, now: Timestamp, fog: FogIndex) -> Vec<Act> {
        let Some(link) = self.links.get_mut(fog.0) else { return Vec::new() };
        if link.state == State::Idle {
            return Vec::new(); // we ended it ourselves
        }
        let was_up = matches!(link.state, State::Up { .. });
        link.refused += u32::from(!was_up);
        link.state = State::Idle;
        self.fail(now, fog);
        if self.candidate == Some(fog) {
            self.candidate = None;
        }
        if self.primary == Some(fog) {
            self.failovers += u64::from(was_up);
            // One that is half open already is the fastest way on.
            self.primary = self.candidate.take();
        }
        self.turn(now, false)
    }

    fn fail(&mut self, now: Timestamp, fog: FogIndex) {
        let longest = self.back_off_ms.saturating_mul(1 << self.links[fog.0].failures.min(16));
        let wait = self.random_below(longest.min(self.back_off_max_ms)) + self.back_off_ms / 2;
        let link = &mut self.links[fog.0];
        link.failures += 1;
        link.not_before = now.plus_millis(wait);
    }

    pub fn measured(&mut self, now: Timestamp, fog: FogIndex, round_trip_us: Option<u64>) -> Vec<Act> {
        let Some(link) = self.links.get_mut(fog.0) else { return Vec::new() };
        match round_trip_us {
            Some(_) => {
                link.round_trip_us = round_trip_us;
                link.failures = 0; // it answers; `not_before` still holds
                self.first_answer_by = None; // the first to answer is the nearest
            }
            None if link.state == State::Idle => self.fail(now, fog),
            None => {}
        }
        self.prefer(now)
    }

    /// Changes to a node that is clearly nearer; the old session ends when the new one is open.
    fn prefer(&mut self, now: Timestamp) -> Vec<Act> {
        let (Some(primary), None) = (self.usable(), self.candidate) else { return Vec::new() };
        let Some(best) = self.best(now, Some(primary)) else { return Vec::new() };
        let (Some(here), Some(there)) =
            (self.links[primary.0].round_trip_us, self.links[best.0].round_trip_us)
        else {
            return Vec::new();
        };
        let avoided = self.links[best.0].avoid_until > now;
        if avoided || there.saturating_mul(3) / 2 + MARGIN_US >= here {
            return Vec::new();
        }
        self.candidate = Some(best);
        vec![self.connect(best)]
    }

    /// This node may swallow data: go on through another one for a while.
    pub fn avoid(&mut self, now: Timestamp, fog: FogIndex, for_ms: u64) -> Vec<Act> {
        self.links[fog.0].avoid_until = now.plus_millis(for_ms.saturating_mul(2));
        let Some(other) = self.best(now, Some(fog)).filter(|_| self.candidate.is_none()) else {
            return Vec::new();
        };
        self.candidate = Some(other);
        vec![self.connect(other)]
    }

    /// Each attempt that fails gives the next one twice the time: the path may be slower than the limit.
    fn connect(&mut self, fog: FogIndex) -> Act {
        let link = &mut self.links[fog.0];
        link.state = State::Connecting;
        Act::Connect(fog, 1 << link.refused.min(MOST_DOUBLINGS))
    }

    /// The best node to connect to now.
    fn best(&self, now: Timestamp, except: Option<FogIndex>) -> Option<FogIndex> {
        let usable = |(_, link): &(usize, &Link)| link.state == State::Idle && link.not_before <= now;
        self.links
            .iter()
            .enumerate()
            .filter(usable)
            .filter(|(index, _)| except != Some(FogIndex(*index)))
            .min_by_key(|(index, link)| {
                (link.avoid_until > now, link.failures.min(3), link.round_trip_us.unwrap_or(u64::MAX), *index)
            })
            .map(|(index, _)| FogIndex(index))
    }

    pub fn heard(&mut self, now: Timestamp, fog: FogIndex) {
        if let Some(Link { state: State::Up { heard, pinged }, .. }) = self.links.get_mut(fog.0) {
            (*heard, *pinged) = (now, false);
        }
    }

    /// Something was sent: silence counts from now on.
    pub fn sent(&mut self, now: Timestamp) {
        if let Some(primary) = self.primary
            && let State::Up { heard, pinged: false } = &mut self.links[primary.0].state
        {
            *heard = now;
        }
    }

    /// What is due: measuring, connecting, a ping. The ping's own time limit is the session's.
    pub fn turn(&mut self, now: Timestamp, waiting: bool) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.links.is_empty() {
            return acts;
        }
        if now >= self.measure_at && self.links.len() > 1 {
            let jitter = self.random_below(self.measure_every_ms / 4);
            self.measure_at = now.plus_millis(self.measure_every_ms + jitter);
            acts.extend((0..self.links.len()).map(|index| Act::Measure(FogIndex(index))));
            if !self.started {
                self.first_answer_by = Some(now.plus_millis(FIRST_ANSWER_MS));
            }
        }
        self.started = true;
        let may_connect = self.first_answer_by.is_none_or(|by| now >= by);
        if self.primary.is_none() && may_connect {
            self.first_answer_by = None;
            if let Some(fog) = self.best(now, None) {
                self.primary = Some(fog);
                acts.push(self.connect(fog));
            }
        }
        if let Some(primary) = self.primary.filter(|_| waiting)
            && let State::Up { heard, pinged: pinged @ false } = &mut self.links[primary.0].state
            && now.millis_since(*heard) >= self.ping_after_ms
        {
            *pinged = true;
            acts.push(Act::Ping(primary));
        }
        acts
    }

    pub fn deadline(&self, waiting: bool) -> Option<Timestamp> {
        if self.links.is_empty() {
            return None;
        }
        let measure = (self.links.len() > 1).then_some(self.measure_at);
        let connect = match (self.primary, self.first_answer_by) {
            (Some(_), _) => None,
            (None, Some(by)) => Some(by),
            (None, None) => self.links.iter().filter(|l| l.state == State::Idle).map(|l| l.not_before).min(),
        };
        let ping = self.primary.filter(|_| waiting).and_then(|fog| match self.links[fog.0].state {
            State::Up { heard, pinged: false } => Some(heard.plus_millis(self.ping_after_ms)),
            _ => None,
        });
        [measure, connect, ping].into_iter().flatten().min()
    }

    /// SplitMix64: jitter needs no better.
    fn random_below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_telemetry::Boot;

    /// However slow the path to the only node is, up to eight times the limit, an attempt comes that has the time; and the next
    /// session begins with the configured limit.
    #[test]
    fn an_attempt_that_failed_gives_the_next_one_more_time() {
        let rules = Rules::new("car".parse().unwrap(), Boot::new(1), vec!["a".into()]);
        let mut links = Links::new(&rules);
        let mut now = Timestamp::from_millis(1_780_300_000_000);
        let attempt = |links: &mut Links, now: &mut Timestamp| loop {
            let acts = links.turn(*now, true);
            if let Some(times) = acts.iter().find_map(|act| match act {
                Act::Connect(_, times) => Some(*times),
                _ => None,
            }) {
                break times;
            }
            *now = now.plus_millis(50);
        };
        let fog = FogIndex(0);
        let mut given = Vec::new();
        for _ in 0..6 {
            given.push(attempt(&mut links, &mut now));
            links.lost(now, fog);
        }
        assert_eq!(given, [1, 2, 4, 8, 8, 8]);
        assert_eq!(attempt(&mut links, &mut now), 8);
        links.connected(now, fog, 2_500_000);
        links.lost(now, fog);
        assert_eq!(attempt(&mut links, &mut now), 1, "a session that ended says nothing of the path");
    }
}
