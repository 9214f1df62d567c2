//! Engine with its limits: it compiles components.

use super::{
    component::{CORES, Component, TABLE_ELEMENTS},
    extent,
    instance::Guest,
};
use crate::{MAX_MEMORY_MIB, Package, Refusal, Version, WIT_VERSION, bindings::FunctionPre};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use voltmesh_telemetry::Digest;
use wasmtime::{
    Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig, StoreLimits,
    component::{self, Linker},
};

/// Time between two ticks of the clock.
const TICK: Duration = Duration::from_millis(10);
/// Most bytes of a call's stack.
const STACK_BYTES: usize = 256 << 10;
/// Instances beyond the node's most: upgrades keep the release before for their first calls, and a trial is made of each release.
const SPARE: u32 = 64;
/// Dirty bytes of a memory that are zeroed rather than given back when its instance ends: an instance's stack and heap,
/// so that the next one begins without page faults.
const KEEP_RESIDENT: usize = 64 << 10;
/// Begin of the interface's names.
const PACKAGE: &str = "voltmesh:function/";

/// Engine with its limits.
pub struct Host {
    engine: Engine,
    linker: Linker<StoreLimits>,
    /// What was compiled before, where it is shared.
    shared: Option<Mutex<BTreeMap<Digest, Arc<Component>>>>,
}

/// Clock that ends calls which take too long.
pub struct Clock(EngineWeak);

impl Clock {
    /// Ticks until the engine is gone. For a thread of its own.
    pub fn run(self) {
        while let Some(engine) = self.0.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    }
}

impl Host {
    /// An engine for at most `instances` instances at a time. Reserves addresses, not memory.
    pub fn new(instances: u32) -> Result<Self, String> {
        let memory = (MAX_MEMORY_MIB as usize) << 20;
        let all = instances.saturating_add(SPARE);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(all)
            .total_core_instances(all.saturating_mul(CORES))
            .total_memories(all)
            .total_tables(all.saturating_mul(CORES))
            .max_core_instances_per_component(CORES)
            .max_memories_per_component(1)
            .max_tables_per_component(CORES)
            .table_elements(TABLE_ELEMENTS)
            .max_memory_size(memory)
            .linear_memory_keep_resident(KEEP_RESIDENT);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            // Addresses of a memory: its most, not 4 GiB, so that thousands of instances fit any address space.
            .memory_reservation(memory as u64)
            .memory_guard_size(64 << 10)
            .consume_fuel(true)
            .epoch_interruption(true)
            .max_wasm_stack(STACK_BYTES)
            // The same inputs give the same bits on every machine, in the simulator too.
            .cranelift_nan_canonicalization(true)
            .concurrency_support(false)
            .wasm_backtrace_max_frames(None)
            .generate_address_map(false)
            .native_unwind_info(false)
            // What a compiler for wasm32 does not use by default is off: less to be attacked.
            .wasm_relaxed_simd(false)
            .wasm_simd(false)
            .wasm_tail_call(false)
            .wasm_multi_memory(false)
            .wasm_memory64(false);
        let engine = Engine::new(&config).map_err(|error| format!("the engine cannot be made: {error:#}"))?;
        Ok(Self { linker: Linker::new(&engine), engine, shared: None })
    }

    /// The same for several nodes in one process, as in simulations: what one of them has compiled, no other compiles again.
    /// Nothing that was compiled is forgotten.
    pub fn shared(instances: u32) -> Result<Self, String> {
        Ok(Self { shared: Some(Mutex::default()), ..Self::new(instances)? })
    }

    /// A clock for calls of this engine.
    pub fn clock(&self) -> Clock {
        Clock(self.engine.weak())
    }

    /// Compiles a release and tries whether it is a function.
    pub fn compile(&self, package: &Package) -> Result<Arc<Component>, Refusal> {
        let Some(shared) = &self.shared else { return self.compile_anew(package).map(Arc::new) };
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shared.get(&package.digest).filter(|known| known.manifest == package.manifest);
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let compiled = Arc::new(self.compile_anew(package)?);
        shared.insert(package.digest, compiled.clone());
        Ok(compiled)
    }

    fn compile_anew(&self, package: &Package) -> Result<Component, Refusal> {
        let component = self.translate(&package.component)?;
        for (name, _) in component.component_type().imports(&self.engine) {
            import(name)?;
        }
        let wrong = |error: wasmtime::Error| Refusal::Export(format!("{error:#}"));
        let pre = self.linker.instantiate_pre(&component).map_err(wrong)?;
        let pre = FunctionPre::new(pre).map_err(wrong)?;
        let manifest = package.manifest.clone();
        let validator = manifest.validator()?;
        let compiled = Component { pre, manifest, digest: package.digest, validator };
        Guest::start(&compiled).map_err(|failure| Refusal::Export(failure.to_string()))?;
        Ok(compiled)
    }

    /// Native code of a component. A panic of the compiler is a fault of this release and of nothing else: of two components inside one
    /// that call each other it makes an adapter with two memories, which are off here, and takes it for granted that they are on.
    fn translate(&self, bytes: &[u8]) -> Result<component::Component, Refusal> {
        extent::check(bytes)?;
        let compiled = catch_unwind(AssertUnwindSafe(|| component::Component::new(&self.engine, bytes)));
        let compiled = compiled.map_err(|panic| {
            let why = panic.downcast_ref::<String>().map_or("it is not known why", String::as_str);
            Refusal::NotAComponent(format!("the compiler of this node gave up: {why}"))
        })?;
        compiled.map_err(|error| Refusal::NotAComponent(format!("{error:#}")))
    }
}

/// Whether the world has this import: types of its own version and nothing else.
fn import(name: &str) -> Result<(), Refusal> {
    let Some(rest) = name.strip_prefix(PACKAGE) else { return Err(Refusal::Import(name.to_owned())) };
    let Some(("types", version)) = rest.split_once('@') else {
        return Err(Refusal::Import(name.to_owned()));
    };
    match version.parse::<Version>() {
        Ok(version) if version.major == WIT_VERSION.major && version <= WIT_VERSION => Ok(()),
        _ => Err(Refusal::Interface { found: version.to_owned() }),
    }
}
