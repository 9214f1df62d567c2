//! What the archive answers over HTTP: its routes, and the state that they show.

pub mod api;
pub mod board;
