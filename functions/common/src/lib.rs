//! What the shipped functions share.
//!
//! A function is a type with the trait [`Function`]; [`export!`] makes it the component's. It gets no clock but the host's, no
//! entropy and no I/O, and an unknown value (`none`, NaN) never becomes a number.
//!
//! Deliberately absent: anything about one function.

#[allow(missing_docs, clippy::all, unused_qualifications)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../crates/function/wit",
        world: "function",
        pub_export_macro: true,
        default_bindings_module: "voltmesh_guest::bindings",
        additional_derives: [PartialEq],
    });
}

pub mod commands;
pub mod curve;
mod function;
pub mod outputs;
pub mod sensors;
pub mod state;
#[cfg(feature = "testing")]
pub mod testing;

pub use bindings::voltmesh::function::types;
pub use bindings::voltmesh::function::types::Estimate;
pub use function::{Function, Runner, STATE_VERSION};

/// Makes a [`Function`] the one of this component.
#[macro_export]
macro_rules! export {
    ($function:ty) => {
        struct Component;

        std::thread_local! {
            static RUNNER: std::cell::RefCell<$crate::Runner<$function>> = std::cell::RefCell::default();
        }

        impl $crate::bindings::Guest for Component {
            fn configure(json: String) -> Result<(), String> {
                RUNNER.with_borrow_mut(|runner| runner.configure(&json))
            }

            fn handle(now_ms: u64, inputs: Vec<$crate::types::Input>) -> Vec<$crate::types::Output> {
                RUNNER.with_borrow_mut(|runner| runner.handle(now_ms, &inputs))
            }

            fn export_state() -> Vec<u8> {
                RUNNER.with_borrow(|runner| runner.export_state())
            }

            fn import_state(version: u32, state: Vec<u8>) -> Result<(), String> {
                RUNNER.with_borrow_mut(|runner| runner.import_state(version, &state))
            }
        }

        $crate::bindings::export!(Component with_types_in $crate::bindings);
    };
}
