//! The contract of `wit/` as Rust types, generated. Plain data, apart from the linker's glue,
//! which stays inside this crate.
#![allow(missing_docs, reason = "the documentation is in wit/")]

/// The interfaces that drivers may import.
pub(crate) mod imports {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package wrought:host;
            world imports {
                import baremetal:deploy/types@0.1.0;
                import baremetal:deploy/task@0.1.0;
                import baremetal:deploy/state@0.1.0;
                import baremetal:deploy/wait@0.1.0;
                import baremetal:deploy/locking@0.1.0;
                import baremetal:deploy/agent@0.1.0;
                import baremetal:deploy/power@0.1.0;
                import baremetal:deploy/boot@0.1.0;
                import baremetal:deploy/network@0.1.0;
                import baremetal:deploy/redfish@0.1.0;
                import baremetal:deploy/image@0.1.0;
                import baremetal:deploy/report@0.1.0;
                import baremetal:deploy/http@0.1.0;
                import baremetal:deploy/artifact@0.1.0;
                import baremetal:deploy/log@0.1.0;
                import baremetal:deploy/events@0.1.0;
            }
        ",
        imports: { default: async | trappable },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

macro_rules! exported {
    ($module:ident, $world:literal) => {
        /// Bindings of one exported interface.
        pub(crate) mod $module {
            wasmtime::component::bindgen!({
                path: "../../wit",
                world: $world,
                exports: { default: async },
                with: { "baremetal:deploy/types@0.1.0": crate::contract::imports::baremetal::deploy::types },
                additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
            });
        }
    };
}

exported!(driver_export, "baremetal:deploy/identified");
exported!(deploy_export, "baremetal:deploy/deploys");
exported!(steps_export, "baremetal:deploy/steps-deploys");
exported!(cleaning_export, "baremetal:deploy/cleans");
exported!(servicing_export, "baremetal:deploy/services");
exported!(verify_export, "baremetal:deploy/verifies");
exported!(rescue_export, "baremetal:deploy/rescues");
exported!(inspection_export, "baremetal:deploy/inspects");
exported!(passthru_export, "baremetal:deploy/passes-through");

/// Bindings of `state-schema`, which shares no types with the others.
pub(crate) mod schema_export {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "baremetal:deploy/keeps-state",
        exports: { default: async },
    });
}

pub(crate) use imports::baremetal::deploy as import;

pub use import::{agent, artifact, boot, events, http, image, log, redfish, report, state, task, types};

pub use schema_export::exports::baremetal::deploy::state_schema::Schemas;

pub(crate) use passthru_export::exports::baremetal::deploy::vendor_passthru::Method as GivenMethod;

pub use driver_export::exports::baremetal::deploy::driver::Description;
