//! What is asked of a whole archive: whether it verifies, and whether rows stand twice.

mod doubles;
pub mod verify;

pub use doubles::run;
