//! The host of functions, by its interface alone: components of `../guest` do what their configuration and samples tell them.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod failures;
mod laws;
mod life;
mod orders;
mod packages;
mod support;
