//! A connection between two nodes: segments on their way, stalls and ends.

use super::address::NodeAddress;
use bytes::Bytes;
use commonware_utils::sync::Mutex;
use futures::task::AtomicWaker;
use std::{collections::VecDeque, time::SystemTime};

/// Both ends of a connection, and what is on its way between them.
pub(super) struct Connection {
    pub ends: [NodeAddress; 2],
    pub state: Mutex<ConnectionState>,
    /// Woken when an end may read: index of the reading end.
    pub wakers: [AtomicWaker; 2],
}

/// Segments that are on their way, and the end of the connection.
#[derive(Default)]
pub(super) struct ConnectionState {
    /// Segments on their way to each end, in order.
    pub inbound: [VecDeque<(SystemTime, Bytes)>; 2],
    /// No segment arrives: the link is cut or the peer has no power.
    pub stalled: bool,
    /// A stalled connection gives up then.
    pub gives_up_at: Option<SystemTime>,
    /// When each end learns that the connection has ended.
    pub ended_at: [Option<SystemTime>; 2],
}

impl Connection {
    /// Wakes whoever reads at either end.
    pub fn wake(&self) {
        for waker in &self.wakers {
            waker.wake();
        }
    }

    /// Ends it: each end learns of it then, and what was on its way is gone.
    pub fn end(&self, at: SystemTime) {
        let mut state = self.state.lock();
        for end in [0, 1] {
            state.inbound[end].clear();
            let known = state.ended_at[end].map_or(at, |before| before.min(at));
            state.ended_at[end] = Some(known);
        }
        drop(state);
        self.wake();
    }

    /// Goes on: what was stalled arrives then.
    pub fn resume(&self, at: SystemTime) {
        let mut state = self.state.lock();
        state.stalled = false;
        state.gives_up_at = None;
        if state.ended_at.iter().any(Option::is_some) {
            // One end closed meanwhile; the other is told now.
            for ended in &mut state.ended_at {
                ended.get_or_insert(at);
            }
        }
        for inbound in &mut state.inbound {
            for (arrives, _) in inbound {
                *arrives = (*arrives).max(at);
            }
        }
        drop(state);
        self.wake();
    }

    /// Whether both ends know, or will know, that it has ended.
    pub fn is_over(&self) -> bool {
        self.state.lock().ended_at.iter().all(Option::is_some)
    }
}
