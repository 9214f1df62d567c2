//! Functions that are shipped with the product: their manifests and components, as they stand in `functions/`.

use crate::{Manifest, Refusal};

/// Function that is shipped.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name, which is its folder's.
    pub name: &'static str,
    /// Its manifest in TOML.
    pub manifest: &'static str,
    /// Its component.
    pub component: &'static [u8],
}

macro_rules! shipped {
    ($name:literal) => {
        Shipped {
            name: $name,
            manifest: include_str!(concat!("../../../functions/", $name, "/manifest.toml")),
            component: include_bytes!(concat!("../../../functions/", $name, "/", $name, ".wasm")),
        }
    };
}

/// All of them.
pub const SHIPPED: [Shipped; 7] = [
    shipped!("cell-balancing"),
    shipped!("charging-control"),
    shipped!("discharge-control"),
    shipped!("down-sampling"),
    shipped!("plating-guard"),
    shipped!("soc-soh-estimation"),
    shipped!("temperature-regulation"),
];

impl Shipped {
    /// The function of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        SHIPPED.into_iter().find(|shipped| shipped.name == name)
    }

    /// Its manifest.
    ///
    /// # Errors
    /// [`Refusal`], if what is shipped does not hold to its own rules.
    pub fn read_manifest(&self) -> Result<Manifest, Refusal> {
        Manifest::from_toml(self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_function_is_what_its_folder_says() {
        for shipped in SHIPPED {
            let manifest = shipped.read_manifest().unwrap();
            assert_eq!(manifest.name, shipped.name);
            assert!(shipped.component.starts_with(b"\0asm"), "{}", shipped.name);
            assert_eq!(Shipped::of(shipped.name).map(|found| found.name), Some(shipped.name));
        }
        assert!(Shipped::of("no-such-function").is_none());
    }
}
