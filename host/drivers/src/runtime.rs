//! The engine: one per process, with its ticker, its pool and its linkers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wrought_domain::DriverName;

use crate::admission::Compiler;
use crate::config::{DriversConfig, Limits};
use crate::contract::import;
use crate::limits::{DriverLimits, MAX_MEMORY_MIB, MAX_TABLE, PerDriver, STACK};
use crate::state::CallState;
use crate::throttle::Throttle;

/// How often running guests are looked at.
const TICK: Duration = Duration::from_millis(10);

/// What one permit of the pool stands for, as bounds of the pool's totals: one memory, so many tables and core instances.
/// No component has more core instances, which the engine does not count for us.
const CORE_INSTANCES_PER_PERMIT: u32 = 64;
const TABLES_PER_PERMIT: u32 = 4;

/// Memories and tables that a component may have.
const MAX_MEMORIES: u32 = 8;
const MAX_TABLES: u32 = 32;

/// Components that are compiled at once.
const COMPILERS: usize = 2;

/// Runs drivers. Makes the engine and starts its ticker, so that nobody has one without the other.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) config: Arc<DriversConfig>,
    /// Keeps below the pool's totals, so that the pool never refuses.
    pub(crate) permits: Arc<Semaphore>,
    /// What holds for each driver.
    pub(crate) drivers: Arc<PerDriver>,
    /// How much drivers may write to the log.
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) compiler: Compiler,
    /// Turns of the compiler.
    pub(crate) compiling: Arc<Semaphore>,
    /// How often the compiler was asked.
    pub(crate) compilations: Arc<AtomicU64>,
    linker: Arc<Linker<CallState>>,
    /// WASI with nothing behind it, for toolchains that import it whether they use it or not.
    linker_with_wasi: Arc<Linker<CallState>>,
}

/// Why the engine cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("starting the WebAssembly engine: {0}")]
pub struct RuntimeError(String);

impl Runtime {
    /// The engine for these limits: pooled instances where the machine has the address space,
    /// instances on demand otherwise. Components are compiled by `compiler`.
    ///
    /// # Errors
    /// The engine refuses its configuration, or no thread can be started.
    pub fn new(config: DriversConfig, compiler: Compiler) -> Result<Self, RuntimeError> {
        let mut settings = hardened();
        settings.allocation_strategy(pool(&config));
        let engine = match Engine::new(&settings) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(%error, "no pool of instances can be had, instances are made on demand");
                return Self::on_demand(config, compiler);
            }
        };
        Self::with(engine, config, compiler)
    }

    /// The same with instances on demand, as on a machine without the address space for a pool.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn on_demand(config: DriversConfig, compiler: Compiler) -> Result<Self, RuntimeError> {
        let mut settings = hardened();
        settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        let engine = Engine::new(&settings).map_err(|error| RuntimeError(format!("{error:#}")))?;
        Self::with(engine, config, compiler)
    }

    fn with(engine: Engine, config: DriversConfig, compiler: Compiler) -> Result<Self, RuntimeError> {
        let failed = |error: wasmtime::Error| RuntimeError(format!("{error:#}"));
        start_ticker(&engine)?;
        let linker = linker(&engine).map_err(failed)?;
        let mut linker_with_wasi = linker.clone();
        wasmtime_wasi::p2::add_to_linker_async(&mut linker_with_wasi).map_err(failed)?;
        let permits = usize::try_from(config.concurrent_calls.max(1)).unwrap_or(1);
        Ok(Self {
            engine,
            drivers: Arc::new(PerDriver::new(&config)),
            throttle: Arc::new(Throttle::new(config.log_lines_s, config.log_lines)),
            config: Arc::new(config),
            permits: Arc::new(Semaphore::new(permits)),
            compiler,
            compiling: Arc::new(Semaphore::new(COMPILERS)),
            compilations: Arc::default(),
            linker: Arc::new(linker),
            linker_with_wasi: Arc::new(linker_with_wasi),
        })
    }

    /// The engine itself, for benchmarks that compare with it.
    #[cfg(feature = "hostile")]
    #[doc(hidden)]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The limits of calls.
    pub fn limits(&self) -> Limits {
        self.config.limits()
    }

    /// The limits of a driver's calls from now on: those that are set for it, and the host's.
    pub fn limits_of(&self, driver: &DriverName) -> Limits {
        self.drivers.of(driver).over(self.limits())
    }

    /// What is set for a driver.
    pub fn limits_set(&self, driver: &DriverName) -> DriverLimits {
        self.drivers.of(driver)
    }

    /// Sets what differs for a driver from now on, in place of what was set before.
    pub fn set_limits(&self, driver: &DriverName, limits: DriverLimits) {
        self.drivers.set(driver, limits);
    }

    /// Permits of the calls of a driver that run at once.
    pub fn concurrent_calls_of(&self, driver: &DriverName) -> u32 {
        self.drivers.calls_of(driver)
    }

    /// The settings of this runtime.
    pub fn config(&self) -> &DriversConfig {
        &self.config
    }

    /// Tells of log lines that were dropped and that no call told of: to be called now and then.
    pub fn tell_dropped(&self) {
        for (driver, dropped) in self.throttle.untold(std::time::Instant::now()) {
            tracing::warn!(target: "wrought::driver", %driver, dropped, "the driver wrote too many log lines");
        }
    }

    /// Components that were compiled since the start.
    pub fn compilations(&self) -> u64 {
        self.compilations.load(Ordering::Relaxed)
    }

    pub(crate) fn linker(&self, wasi: bool) -> &Linker<CallState> {
        if wasi { &self.linker_with_wasi } else { &self.linker }
    }

    /// How many permits a call of this component takes.
    pub(crate) fn weight(&self, component: &Component) -> u32 {
        let needs = component.resources_required();
        let memories = needs.as_ref().map_or(1, |needs| needs.num_memories);
        let tables = needs.as_ref().map_or(1, |needs| needs.num_tables.div_ceil(TABLES_PER_PERMIT));
        memories.max(tables).clamp(1, self.config.concurrent_calls.max(1))
    }
}

/// Bytes of a memory and of a table that stay with a free slot of the pool.
const KEPT_MEMORY: usize = 1 << 20;
const KEPT_TABLE: usize = 16 << 10;

pub(crate) fn hardened() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_threads(false)
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_gc(false)
        .concurrency_support(false)
        .max_wasm_stack(STACK)
        .async_stack_size(1 << 20);
    config
}

fn pool(limits: &DriversConfig) -> PoolingAllocationConfig {
    let permits = limits.concurrent_calls.max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(permits)
        .total_core_instances(permits.saturating_mul(CORE_INSTANCES_PER_PERMIT))
        .total_memories(permits)
        .total_tables(permits.saturating_mul(TABLES_PER_PERMIT))
        .total_stacks(permits)
        .total_gc_heaps(0)
        .max_core_instances_per_component(CORE_INSTANCES_PER_PERMIT)
        .max_memories_per_component(MAX_MEMORIES.min(permits))
        .max_tables_per_component(MAX_TABLES.min(permits.saturating_mul(TABLES_PER_PERMIT)))
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(usize::try_from(MAX_TABLE.max(limits.table_elements)).unwrap_or(usize::MAX))
        // A call dirties a few pages: writing them anew costs less than giving them back and faulting them in again.
        .linear_memory_keep_resident(KEPT_MEMORY)
        .table_keep_resident(KEPT_TABLE)
        .pagemap_scan(Enabled::Auto)
        .max_memory_size(usize::try_from(limits.memory_mib.max(MAX_MEMORY_MIB)).unwrap_or(256) << 20);
    pool
}

fn start_ticker(engine: &Engine) -> Result<(), RuntimeError> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("wrought-epoch".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map(drop)
        .map_err(|error| RuntimeError(error.to_string()))
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    import::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::task::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::state::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::wait::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::locking::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::agent::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::power::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::boot::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::network::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::image::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::report::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::redfish::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::http::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::artifact::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    import::events::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
