//! Asks the linker for packed relative relocations, so that a process reads 100 kB of them when it starts and not 6.4 MB,
//! which would stay in its resident memory: a fifth of what a vehicle is allowed. Needs glibc 2.36 where it runs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
