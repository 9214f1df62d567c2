//! HTTP interface of the archive: its routes, and the state that they show.

pub mod api;
pub mod board;
