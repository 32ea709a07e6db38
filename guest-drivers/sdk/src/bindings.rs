//! What wit-bindgen makes of the contract: one module for all imports, one for each exported interface.
//!
//! A component imports only what its code really calls, so one world with every import costs nothing. What it exports must be
//! there, so each exported interface has a world of its own and [`export_driver!`](crate::export_driver) picks among them.

#![allow(missing_docs, unused_imports, clippy::all, clippy::as_conversions, clippy::indexing_slicing, clippy::unwrap_used)]

/// The imports, and the types that all share.
pub mod imports {
    wit_bindgen::generate!({
        inline: "
            package wrought:sdk;
            world imports {
                import baremetal:deploy/types@0.1.0;
                import baremetal:deploy/task@0.1.0;
                import baremetal:deploy/state@0.1.0;
                import baremetal:deploy/wait@0.1.0;
                import baremetal:deploy/log@0.1.0;
                import baremetal:deploy/events@0.1.0;
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
            }
        ",
        path: "../../wit",
        world: "wrought:sdk/imports",
        runtime_path: "::wrought_sdk::__rt",
        additional_derives: [PartialEq, ::serde::Serialize, ::serde::Deserialize],
        pub_export_macro: true,
        generate_all,
    });
}

/// Exports `driver`.
pub mod driver {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/identified",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::driver",
        pub_export_macro: true,
    });
}

/// Exports `deploy`.
pub mod deploy {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/deploys",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::deploy",
        pub_export_macro: true,
    });
}

/// Exports `deploy-steps`.
pub mod deploy_steps {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/steps-deploys",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::deploy_steps",
        pub_export_macro: true,
    });
}

/// Exports `cleaning`.
pub mod cleaning {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/cleans",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::cleaning",
        pub_export_macro: true,
    });
}

/// Exports `servicing`.
pub mod servicing {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/services",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::servicing",
        pub_export_macro: true,
    });
}

/// Exports `verify`.
pub mod verify {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/verifies",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::verify",
        pub_export_macro: true,
    });
}

/// Exports `rescue`.
pub mod rescue {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/rescues",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::rescue",
        pub_export_macro: true,
    });
}

/// Exports `inspection`.
pub mod inspection {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/inspects",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::inspection",
        pub_export_macro: true,
    });
}

/// Exports `vendor-passthru`.
pub mod vendor_passthru {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/passes-through",
        runtime_path: "::wrought_sdk::__rt",
        with: { "baremetal:deploy/types@0.1.0": crate::bindings::imports::baremetal::deploy::types },
        default_bindings_module: "::wrought_sdk::bindings::vendor_passthru",
        pub_export_macro: true,
    });
}

/// Exports `state-schema`.
pub mod state_schema {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "baremetal:deploy/keeps-state",
        runtime_path: "::wrought_sdk::__rt",
        default_bindings_module: "::wrought_sdk::bindings::state_schema",
        pub_export_macro: true,
    });
}
