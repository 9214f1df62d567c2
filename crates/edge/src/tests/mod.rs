mod boot;
mod config;
mod laws;
mod role;
mod sources;
mod twin;
