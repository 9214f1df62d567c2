//! Committees: what binds the few that vote to all authorities.

pub(crate) mod epoch_opening;
pub(crate) mod replacement;
pub(crate) mod seal;
