mod boot;
mod commands;
mod config;
mod laws;
mod role;
mod sources;
mod twin;
