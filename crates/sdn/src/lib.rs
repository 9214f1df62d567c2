//! The controller: what it makes of the summaries that fog nodes send of vehicles.
//!
//! [`Rules`] say from which limits on a vehicle is in an operating condition, and how urgent that is; the [`Assessor`]
//! follows every vehicle and says when a condition begins and ends (D5.3, 4.1, steps 1.2 and 1.3).
//!
//! A [`Policy`] says which functions a vehicle is to have in its conditions, [`placement`] on which fog nodes they run;
//! [`decisions`] are records that can be explained and undone, and what is learned of their outcomes (steps 1.4, 1.5, 1.8).
//!
//! [`tenure`] holds the ledger's term: one controller commands, another stands by.
//!
//! Invariants: a value that is unknown begins and ends nothing; a larger standard deviation begins nothing earlier; rules
//! that are replaced leave the state of those that stay.
//!
//! Pure: no clock, files, sockets or entropy.
//!
//! **Not here yet:** switches.
//!
//! ```
//! use voltmesh_sdn::Rules;
//!
//! let text = r#"
//!     version = 1
//!     [sensors]
//!     voltage_v = 0.005
//!     temperature_c = 0.5
//!     current_a = 0.5
//!     [[rule]]
//!     name = "hot"
//!     condition = "over-temperature"
//!     stage = "warning"
//!     quantity = "temperature-highest"
//!     above = 50.0
//!     clear = 47.0
//!     shown = [3, 5]
//! "#;
//! let rules = Rules::parse(text)?;
//! assert_eq!(rules.len(), 1);
//! let error = Rules::parse(&text.replace("47.0", "53.0")).unwrap_err();
//! assert!(error.to_string().contains("line 13"), "{error}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod assess;
mod condition;
pub mod controller;
pub mod decisions;
pub mod placement;
pub mod policy;
mod quantity;
pub mod rules;
pub mod run;
pub mod tenure;
mod written;

pub use assess::{Assessor, Change};
pub use condition::Condition;
pub use controller::Controller;
pub use policy::Policy;
pub use quantity::Quantity;
pub use rules::Rules;
