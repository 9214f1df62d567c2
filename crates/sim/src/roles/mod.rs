//! The processes of the four kinds of nodes: the product's cores and rules, on simulated clocks, disks, links and store.

pub mod client;
pub mod cloud;
pub mod edge;
pub mod fog;
mod sample;
