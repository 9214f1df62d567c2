//! The one writer of the archive: a commit, its outcome, then the merging that is due.
//!
//! The same loop runs in the cloud's process and in the simulator: what differs, clock and executor, is behind
//! [`Surroundings`].

use crate::{
    archivist::{Answer, Commit, Input, Marks, Question},
    delta::{Archive, ArchiveError, Reader},
};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pause before the archive is read again after that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Clock and executor of a writer.
pub trait Surroundings: Send + Sync {
    /// Runs one piece of work on the archive to its end, where the tables' code finds what it needs.
    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send;

    /// Waits so long.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Time since any fixed moment.
    fn elapsed(&self) -> Duration;

    /// Takes note of a durable commit and of how long it took.
    fn committed(&self, commit: &Commit, took: Duration);

    /// Takes note of work on the archive that failed, and of what is done about it.
    fn failed(&self, what: &'static str, error: &ArchiveError);
}

/// Writes what comes by `queue` until that ends, one commit at a time, and tells each outcome by `results`.
///
/// Merging files meets another writer's commit as a commit of ours does. What was read after that is not what the core
/// judged by, so the next commit is not made: it is judged again.
pub async fn write(
    mut archive: Archive,
    mut queue: mpsc::Receiver<Commit>,
    results: mpsc::Sender<Input>,
    surroundings: impl Surroundings,
) {
    let mut read_again: Option<Marks> = None;
    while let Some(commit) = queue.recv().await {
        let input = if let Some(marks) = read_again.take() {
            Input::Reloaded { ticket: commit.ticket, marks }
        } else {
            let (written, input) = append(archive, commit, &surroundings).await;
            archive = written;
            input
        };
        if results.send(input).await.is_err() {
            return;
        }
        let work = async move {
            let done = archive.compact().await;
            (archive, done)
        };
        let (merged, done) = surroundings.run(work).await;
        archive = merged;
        if let Err(error) = done {
            surroundings.failed("merging small files failed; it is tried again after a later commit", &error);
            let (read, marks) = reload(archive, &surroundings).await;
            archive = read;
            read_again = Some(marks);
        }
    }
}

/// Makes a commit, and says what came of it.
async fn append(mut archive: Archive, commit: Commit, surroundings: &impl Surroundings) -> (Archive, Input) {
    let begun = surroundings.elapsed();
    let ticket = commit.ticket;
    let work = async move {
        let done = archive.commit(&commit).await;
        (archive, commit, done)
    };
    let (archive, commit, done) = surroundings.run(work).await;
    match done {
        Ok(()) => {
            surroundings.committed(&commit, surroundings.elapsed().saturating_sub(begun));
            (archive, Input::Committed { ticket })
        }
        Err(error) => {
            surroundings.failed("a commit failed: reading the archive again", &error);
            let (archive, marks) = reload(archive, surroundings).await;
            (archive, Input::Reloaded { ticket, marks })
        }
    }
}

/// Reads the archive until that works: nothing can be done before.
async fn reload(mut archive: Archive, surroundings: &impl Surroundings) -> (Archive, Marks) {
    loop {
        let work = async move {
            let done = archive.reload().await;
            (archive, done)
        };
        let (read, done) = surroundings.run(work).await;
        archive = read;
        match done {
            Ok(marks) => return (archive, marks),
            Err(error) => {
                surroundings.failed("the archive cannot be read; trying again each second", &error);
                surroundings.sleep(RETRY).await;
            }
        }
    }
}

/// What the tables say to a question of the core's.
pub async fn ask(reader: Reader, about: Question) -> Answer {
    let answer = match &about {
        Question::Batches { vehicle, boot, first, last } => {
            reader.batches_near(vehicle, *boot, *first, *last).await.map(Answer::Batches)
        }
        Question::Numbers { vehicle, numbers } => {
            reader.foreign_numbers(vehicle, numbers).await.map(Answer::Numbers)
        }
    };
    answer.unwrap_or_else(|error| {
        tracing::warn!(%error, "a look-up in the archive failed");
        Answer::Failed
    })
}
