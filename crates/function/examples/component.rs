//! Makes a component of a core module that carries its interface, as `wit-bindgen` leaves it: `component MODULE COMPONENT`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let [module, component] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "want two paths: `component MODULE COMPONENT`")?;
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&std::fs::read(module)?)?
        .encode()?;
    std::fs::write(component, encoded)?;
    Ok(())
}
