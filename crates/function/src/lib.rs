//! Virtual functions: their interface, signed releases, and the host that runs them near the vehicle.
//!
//! A function is a WebAssembly component of the world in `wit/function.wit`. It decides and nothing else: the host owns
//! clock, limits, persistence and order.
#![forbid(unsafe_code)]

#[allow(missing_docs)]
mod bindings {
    wasmtime::component::bindgen!({ path: "wit", world: "function" });
}
