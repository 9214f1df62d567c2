mod boot;
mod cases;
mod commands;
mod config;
#[cfg(feature = "kuksa")]
mod kuksa;
mod laws;
mod role;
mod sources;
mod twin;
mod world;
