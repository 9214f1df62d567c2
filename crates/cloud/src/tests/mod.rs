//! The laws of the core in memory, the archive on disk with crashes, and the whole over real sockets.

mod alterations;
mod archive;
mod audit;
mod checks;
mod core;
mod cost;
mod crash;
mod exactly_once;
mod extent;
mod fuzz;
mod gone;
mod http;
mod lab;
mod memory_table;
mod older;
mod room;
mod unknown;

use crate::{
    Answer, Archive, Archivist, Commit, Grouping, Input, Location, Marks, Output, Question, Reader, Settings,
    Token,
    testing::{Fleet, fog_name},
    writer::ask,
};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use object_store::ObjectStore;
use std::sync::Arc;
use voltmesh_telemetry::Timestamp;

fn cloud_key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_780_300_000_000 + ms)
}

fn envelope(fog: u8, token: u64, bytes: Bytes) -> Input {
    Input::Envelope { fog: fog_name(fog), token: Token(token), bytes }
}

fn in_memory(store: Arc<dyn ObjectStore>) -> Location {
    Location { store, url: "memory:///archive/".parse().unwrap() }
}

/// A core with a real archive behind it, driven step by step.
struct Bench {
    core: Archivist,
    archive: Archive,
    clock: u64,
    accepted: Vec<Token>,
    rejected: Vec<(Token, String)>,
    refused: Vec<Token>,
    notices: Vec<Bytes>,
}

impl Bench {
    async fn open(fleet: &Fleet, location: &Location, settings: Settings) -> Self {
        let (archive, marks) = Archive::open(location, settings).await.unwrap();
        let core = Archivist::new(fleet.trust(), cloud_key(), Grouping::default(), &marks);
        let clock = 0;
        Self { core, archive, clock, accepted: vec![], rejected: vec![], refused: vec![], notices: vec![] }
    }

    fn reader(&self) -> Reader {
        self.archive.reader()
    }

    /// Handles an input and whatever it asks for; false if a commit failed.
    async fn step(&mut self, input: Input) -> bool {
        let mut inputs = std::collections::VecDeque::from([input]);
        let mut fine = true;
        while let Some(input) = inputs.pop_front() {
            for output in self.core.handle(at(self.clock), input) {
                match output {
                    Output::Commit(commit) => match self.archive.commit(&commit).await {
                        Ok(()) => {
                            inputs.push_back(Input::Committed { ticket: commit.ticket });
                            // As the writer does after each commit; merging is called for by those who test it.
                            fine &= self.archive.write_checkpoints().await.is_ok();
                        }
                        Err(_) => fine = false,
                    },
                    Output::Ask { question, about } => {
                        let answer = ask(self.reader(), about).await;
                        assert_ne!(answer, Answer::Failed);
                        inputs.push_back(Input::Answered { question, answer });
                    }
                    Output::Accept(token) => self.accepted.push(token),
                    Output::Reject(token, rejection) => {
                        self.rejected.push((token, rejection.stage.to_string()))
                    }
                    Output::Defer(token, _) => self.refused.push(token),
                    Output::Notice { bytes, .. } => self.notices.push(bytes),
                }
            }
        }
        fine
    }

    async fn deliver(&mut self, fog: u8, token: u64, bytes: Bytes) -> bool {
        self.step(envelope(fog, token, bytes)).await
    }

    /// Lets the commit interval pass.
    async fn flush(&mut self) -> bool {
        self.clock += 10_000;
        self.step(Input::Tick).await
    }
}

fn commits(outputs: &[Output]) -> Vec<&Commit> {
    outputs.iter().filter_map(|o| if let Output::Commit(commit) = o { Some(commit) } else { None }).collect()
}

fn new_core(fleet: &Fleet) -> Archivist {
    Archivist::new(fleet.trust(), cloud_key(), Grouping::default(), &Marks::default())
}
