//! Which rows of a file are believed, and what they are: in order, each time of an EVSE once, sessions as changes.

use std::ops::RangeInclusive;

use super::builder::{Row, Session, count};
use super::report::{Shape, Skip, SourceReport};
use super::shape::{self, SESSIONS_HOLD_S, Told};

/// Least distance from the bulk of a file at which a time is not believed, in seconds: a week. It is the bulk's own length if that is
/// more, so that a file may have pauses as long as itself.
const MARGIN_S: i64 = 7 * 86_400;

/// A pause after which a few rows of event files are not believed, in seconds.
const EVENT_PAUSE_S: i64 = 86_400;

/// The rows of one file, in order of EVSE and time, each time of an EVSE once.
pub(super) struct Part {
    pub(super) rows: Vec<Row>,
    pub(super) told: Told,
    /// The last time that is believed.
    pub(super) last: i64,
}

/// The rows of a file that are believed, and what kind of history they are; `None` where there are none.
pub(super) fn part(
    mut rows: Vec<Row>,
    sessions: Vec<Session>,
    (charging, available): (u16, u16),
    source: &mut SourceReport,
) -> Option<Part> {
    let of_sessions = !sessions.is_empty();
    rows.extend(events(sessions, (charging, available), source));
    let mut times: Vec<i64> = rows.iter().map(|row| row.at).collect();
    let bulk = bulk(&mut times)?;
    drop_those(&mut rows, source, |row| !bulk.contains(&row.at));
    // Stable: of two rows of one time, the later in the file counts.
    rows.sort_by_key(|row| (row.evse, row.at));
    let mut once: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match once.last_mut().filter(|known| (known.evse, known.at) == (row.evse, row.at)) {
            Some(known) if of_sessions => *known = row,
            Some(known) => {
                let count =
                    if known.word == row.word { &mut source.repeated } else { &mut source.contradicting };
                *count += 1;
                *known = row;
            }
            None => once.push(row),
        }
    }
    let runs = once.chunk_by(|a, b| a.evse == b.evse);
    source.evses = runs.clone().count() as u64;
    let mut told = shape::tell(runs.map(|run| run.iter().map(|row| (row.at, row.word)).collect::<Vec<_>>()));
    if of_sessions {
        told = Told { shape: Shape::Sessions, hold_s: SESSIONS_HOLD_S, ..told };
    }
    let pause_s = match told.shape {
        Shape::Snapshots => 2 * told.interval_s + 60,
        Shape::Polls => told.hold_s,
        Shape::Changes | Shape::Sessions => EVENT_PAUSE_S,
    };
    let ends = ends(&once, source.evses, pause_s);
    drop_those(&mut once, source, |row| !ends.contains(&row.at));
    let first = once.iter().map(|row| row.at).min()?;
    let last = once.iter().map(|row| row.at).max()?;
    source.shape = Some(told.shape);
    (source.interval_s, source.hold_s, source.span) = (told.interval_s, told.hold_s, Some((first, last)));
    Some(Part { rows: once, told, last })
}

/// Removes rows whose times are not believed, and counts them.
fn drop_those(rows: &mut Vec<Row>, source: &mut SourceReport, unbelieved: impl Fn(&Row) -> bool) {
    rows.retain(|row| {
        let gone = unbelieved(row);
        if gone {
            count(&mut source.skipped, Skip::NotBelieved, || format!("{} s since 1970", row.at));
        }
        !gone
    });
}

/// The times that are believed for what most others are: from the tenth to the ninetieth percentile, and as much before and after.
fn bulk(times: &mut [i64]) -> Option<RangeInclusive<i64>> {
    let (tenth, ninetieth) = (times.len() / 10, (times.len() * 9 / 10).min(times.len().checked_sub(1)?));
    let low = *times.select_nth_unstable(tenth).1;
    let high = *times.select_nth_unstable(ninetieth).1;
    let margin = (high - low).max(MARGIN_S);
    Some(low - margin..=high + margin)
}

/// The times that are believed for who else reports then: rows of less than a third of the EVSEs that stand alone at an end of the
/// file, behind a pause, are of clocks that are wrong.
fn ends(rows: &[Row], evses: u64, pause_s: i64) -> RangeInclusive<i64> {
    let mut times: Vec<i64> = rows.iter().map(|row| row.at).collect();
    times.sort_unstable();
    let (Some(mut first), Some(mut last)) = (times.first().copied(), times.last().copied()) else {
        return i64::MIN..=i64::MAX;
    };
    let few = (evses / 3) as usize;
    if times.len() < 10 * few || few == 0 {
        return first..=last;
    }
    for n in 1..=few {
        let at = times.len() - n;
        if times[at] - times[at - 1] > pause_s {
            last = times[at - 1];
        }
        if times[n] - times[n - 1] > pause_s {
            first = times[n];
        }
    }
    first..=last
}

/// Sessions as changes: charging from start to end, free after. Those that overlap are one; one without an end, as it is told while it is
/// under way, is over when the next begins, and the same as one with an end that began with it.
fn events(
    mut sessions: Vec<Session>,
    (charging, available): (u16, u16),
    source: &mut SourceReport,
) -> Vec<Row> {
    sessions.sort_by_key(|session| (session.evse, session.start, session.open, session.end));
    sessions.dedup_by(|later, kept| {
        let same = later.open && (later.evse, later.start) == (kept.evse, kept.start);
        source.repeated += u64::from(same);
        same
    });
    for n in 1..sessions.len() {
        let next = sessions[n];
        let session = &mut sessions[n - 1];
        if session.open && session.evse == next.evse {
            session.end = session.end.min(next.start);
        }
    }
    let mut events = Vec::with_capacity(2 * sessions.len());
    let mut under_way: Option<Session> = None;
    let mut close = |session: Session| {
        let Session { start, end, evse, source, .. } = session;
        events.push(Row { at: start, evse, word: charging, source });
        events.push(Row { at: end, evse, word: available, source });
    };
    for session in sessions {
        match &mut under_way {
            Some(before) if before.evse == session.evse && session.start < before.end => {
                source.overlapping += 1;
                before.end = before.end.max(session.end);
            }
            _ => {
                if let Some(before) = under_way.replace(session) {
                    close(before);
                }
            }
        }
    }
    if let Some(before) = under_way {
        close(before);
    }
    events
}
