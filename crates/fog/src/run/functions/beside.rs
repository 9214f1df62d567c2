//! A thread that compiles releases, so that the thread of functions never waits for it.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use bytes::Bytes;
use voltmesh_function::Compiler;

use super::queue::{Queue, Told};
use crate::Error;

/// Releases that wait at most: twice what is kept compiled. Of at most 4 MiB each; what finds no room is asked for again.
const WAITING: usize = 128;

/// By how much the thread yields to all others, 0..=19: who waits for a release has waited for the network before.
const NICENESS: i32 = 10;

/// Thread that compiles. It ends when this is gone.
pub struct Beside(SyncSender<Bytes>);

impl Beside {
    /// Starts the thread; what it has compiled it tells the queue.
    pub fn start(compiler: Compiler, queue: Queue, data: &Path) -> Result<Self, Error> {
        let (sender, waiting) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("functions-compiler".to_owned());
        let spawned = thread.spawn(move || run(&compiler, &waiting, &queue));
        spawned.map_err(Error::file("start threads of", data))?;
        Ok(Self(sender))
    }

    /// Has a release compiled; false if too many wait.
    pub fn compile(&self, package: Bytes) -> bool {
        self.0.try_send(package).is_ok()
    }
}

fn run(compiler: &Compiler, waiting: &Receiver<Bytes>, queue: &Queue) {
    // On Linux this is the calling thread's alone.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "releases are compiled at the priority of sessions");
    }
    while let Ok(payload) = waiting.recv() {
        let compiled = compiler.compile(&payload);
        queue.tell(Told::Compiled { payload, compiled });
    }
}
