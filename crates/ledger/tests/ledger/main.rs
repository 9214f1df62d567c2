//! Laws of the ledger, from the outside.

mod chain;
mod codec;
mod committee;
mod controllers;
mod election;
mod events;
mod evidence;
mod flips;
mod golden;
mod proof;
mod registry;
mod snapshot;
mod trust;
