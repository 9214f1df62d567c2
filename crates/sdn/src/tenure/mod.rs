//! Holding the ledger's term as a pure core: what the ledger is proven to say in, policy transactions to sign out.
//!
//! A controller commands while it holds the term that it took in this life and the term's end is away by more than the margin, by
//! this clock. It renews long before; where it cannot, it stops by itself. A standby takes the next term once the end is past by the
//! margin. One transaction is under way at a time, so that a higher number that was applied says that it was.
//!
//! **Invariant.** While clocks differ by less than the margin, no two controllers command at once. Where they differ by more, or a
//! process stood still in between, orders carry the term, and fog nodes and vehicles refuse a lower one.
//!
//! **Not here:** signatures, proofs, clocks, sockets (`run`).

use voltmesh_ledger::{PolicyAct, PublicKey, SaltedDigest, Term};
use voltmesh_telemetry::Timestamp;

/// Time in ms after which a transaction that is not final is sent again, unchanged.
pub const AGAIN_MS: u64 = 1_000;

/// Time in ms after which a transaction expires: a block of a later time does not hold it.
pub const LIFE_MS: u64 = 10_000;

/// Time in ms for which the evidence of a decision is awaited once its number is used; then it is written down again.
pub const EVIDENCE_MS: u64 = 5_000;

/// Settings of a controller.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Key of this controller, as it was admitted.
    pub me: PublicKey,
    /// For how long a term is asked for, in ms.
    pub tenure_ms: u64,
    /// Lower terms are not commanded in: they were used before, or are to be skipped.
    pub least: u32,
}

/// What the ledger says as of a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The block.
    pub height: u64,
    /// Its time.
    pub time: Timestamp,
    /// Who commands.
    pub term: Term,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Input {
    /// The ledger is proven to say this.
    View(View),
    /// A decision is to be written down, once the one before it is.
    Write(SaltedDigest),
    /// A decision is proven to be on the ledger.
    Decided {
        /// Whose it is.
        by: PublicKey,
        /// The commitment to it.
        decision: SaltedDigest,
    },
    /// Time passes.
    Tick,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sign this transaction and send it to fog nodes.
    Submit(Asked),
    /// The decision is on the ledger.
    Written(SaltedDigest),
}

/// Policy transaction that is not signed yet; signed again it has the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The term that it is of.
    pub term: u32,
    /// Its number there.
    pub number: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// Until when the term is asked for.
    pub until: Timestamp,
    /// What it does.
    pub act: PolicyAct,
}

#[derive(Debug)]
struct Pending {
    asked: Asked,
    sent: Timestamp,
}

/// See the module's first line.
#[derive(Debug)]
pub struct Tenure {
    settings: Settings,
    view: Option<View>,
    /// The term that was taken in this life.
    taken: Option<u32>,
    pending: Option<Pending>,
    /// Numbers below this one were used in the term.
    used: u64,
    decision: Option<SaltedDigest>,
    /// The decision whose number is used, and since when that is known.
    unproven: Option<Timestamp>,
    /// When it was asked last.
    last: Timestamp,
}

impl Tenure {
    /// One that knows nothing of the ledger yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            view: None,
            taken: None,
            pending: None,
            used: 0,
            decision: None,
            unproven: None,
            last: Timestamp::from_millis(0),
        }
    }

    /// The term in which this controller commands now.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> Option<u32> {
        let term = self.own()?;
        let ends = self.view.as_ref()?.term.until.as_millis();
        (now.as_millis() + self.margin() < ends && term >= self.settings.least).then_some(term)
    }

    /// What the ledger said last.
    #[must_use]
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Whether a decision is under way.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.decision.is_some()
    }

    /// When it wants to be woken with [`Input::Tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let view = self.view.as_ref()?;
        let until = view.term.until.as_millis();
        let own = self.own().is_some();
        let ends = own.then(|| until.saturating_sub(self.margin()));
        let next = match (&self.pending, own) {
            (Some(pending), _) => pending.sent.as_millis() + AGAIN_MS,
            (None, true) => until.saturating_sub(self.renew_ms()),
            (None, false) => until + self.margin() + 1,
        };
        let proof = self.unproven.map(|since| since.as_millis() + EVIDENCE_MS);
        // What is past was looked at.
        let ahead = [ends, proof, Some(next)].into_iter().flatten().filter(|at| *at > self.last.as_millis());
        ahead.min().map(Timestamp::from_millis)
    }

    /// How far clocks may differ, in ms: a fifth of the tenure.
    fn margin(&self) -> u64 {
        self.settings.tenure_ms / 5
    }

    /// How long before its end a term is renewed, in ms.
    fn renew_ms(&self) -> u64 {
        self.settings.tenure_ms * 2 / 3
    }

    /// The newest term, if it was taken in this life.
    fn own(&self) -> Option<u32> {
        let term = &self.view.as_ref()?.term;
        let mine = self.taken == Some(term.term) && term.holder.as_ref() == Some(&self.settings.me);
        mine.then_some(term.term)
    }

    /// What follows from an input.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.last = now;
        match input {
            Input::View(view) => self.see(now, view),
            Input::Write(decision) => self.decision = Some(decision),
            Input::Decided { by, decision } => {
                if by == self.settings.me && self.decision == Some(decision) {
                    (self.decision, self.unproven) = (None, None);
                    let decides = |one: &mut Pending| matches!(one.asked.act, PolicyAct::Decide { .. });
                    if let Some(done) = self.pending.take_if(decides) {
                        self.used = self.used.max(done.asked.number + 1);
                    }
                    out.push(Output::Written(decision));
                }
            }
            Input::Tick => {}
        }
        self.proceed(now, &mut out);
        out
    }

    /// Takes over what the ledger says, and finds what became of the transaction under way.
    fn see(&mut self, now: Timestamp, view: View) {
        if self.view.as_ref().is_some_and(|known| view.height <= known.height) {
            return;
        }
        let term = &view.term;
        if let Some(Pending { asked, .. }) = &self.pending {
            let decides = matches!(asked.act, PolicyAct::Decide { .. });
            let over = if matches!(asked.act, PolicyAct::TakeTerm) {
                // Its end tells it from one of another life.
                if term.term == asked.term
                    && term.holder.as_ref() == Some(&self.settings.me)
                    && term.until == asked.until
                {
                    (self.taken, self.used) = (Some(asked.term), 0);
                }
                term.term >= asked.term
            } else if term.term != asked.term {
                true
            } else {
                let applied = term.next > asked.number;
                if applied && decides {
                    self.unproven = Some(now);
                }
                applied
            };
            if over || view.time > asked.expires {
                self.pending = None;
            }
        }
        self.view = Some(view);
    }

    /// Asks for what is due, one after the other.
    fn proceed(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if self.unproven.is_some_and(|since| now.millis_since(since) >= EVIDENCE_MS) {
            self.unproven = None;
        }
        // Nothing is heard of the ledger while nothing changes there.
        let margin = self.margin();
        let expired = |one: &mut Pending| now.as_millis() > one.asked.expires.as_millis() + margin;
        self.pending.take_if(expired);
        let Some(View { term, .. }) = &self.view else { return };
        let (term, next) = (term.clone(), term.next);
        if let Some(pending) = &mut self.pending {
            if now.millis_since(pending.sent) >= AGAIN_MS {
                pending.sent = now;
                out.push(Output::Submit(pending.asked.clone()));
            }
            return;
        }
        let until = term.until.as_millis();
        let (number, act) = match self.own() {
            // Nobody but this controller can take the next one now.
            Some(own) if own < self.settings.least => (0, PolicyAct::TakeTerm),
            Some(_) => {
                let number = self.used.max(next);
                match self.decision {
                    Some(decision) if self.unproven.is_none() => (number, PolicyAct::Decide { decision }),
                    _ if now.as_millis() + self.renew_ms() >= until => (number, PolicyAct::Renew),
                    _ => return,
                }
            }
            None => {
                let is_free = term.holder.as_ref().is_none_or(|holder| *holder == self.settings.me);
                if !is_free && now.as_millis() <= until + self.margin() {
                    return;
                }
                (0, PolicyAct::TakeTerm)
            }
        };
        let of = match act {
            PolicyAct::TakeTerm => term.term.checked_add(1),
            _ => Some(term.term),
        };
        let Some(of) = of else { return };
        self.used = number + 1;
        let asked = Asked {
            term: of,
            number,
            expires: later(now, LIFE_MS),
            until: later(now, self.settings.tenure_ms),
            act,
        };
        out.push(Output::Submit(asked.clone()));
        self.pending = Some(Pending { asked, sent: now });
    }
}

fn later(now: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(ms))
}

#[cfg(test)]
mod tests;
