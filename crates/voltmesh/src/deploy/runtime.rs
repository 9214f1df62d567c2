//! Work that starts processes of its own, and ends them when this program is told to end.

use anyhow::{Context as _, Result, bail};
use voltmesh_http::termination;

/// Runs `work` until it is done, or until the program is told to end (SIGTERM, SIGINT): dropping `work` kills the processes that it
/// started, and what it keeps in temporary folders goes with them.
///
/// # Errors
/// Those of `work`; that a signal ended it.
pub fn run_with_processes<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("cannot start a runtime")?.block_on(async {
        tokio::select! {
            done = work => done,
            () = termination() => bail!("ended by a signal, and its processes with it"),
        }
    })
}
