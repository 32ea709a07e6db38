//! `export_driver!`: what a component exports is what it can do.

/// Exports a driver: always [`Driver`](crate::Driver), and the interfaces that are named, and nothing else.
///
/// ```no_run
/// # use wrought_sdk::prelude::*;
/// # struct Acme;
/// # impl Driver for Acme {
/// #     fn describe() -> Description { Description::new("acme", "1.0.0", "Acme") }
/// #     fn get_properties() -> Vec<Property> { Vec::new() }
/// # }
/// # impl DeploySteps for Acme {
/// #     fn get_deploy_steps() -> Result<Vec<Step>> { Ok(Vec::new()) }
/// #     fn execute_deploy_step(step: StepCall) -> Result<Outcome> { Err(step.unknown()) }
/// # }
/// export_driver!(Acme: deploy_steps);
/// ```
///
/// Interfaces: `deploy`, `deploy_steps`, `cleaning`, `servicing`, `verify`, `rescue`, `inspection`, `vendor_passthru`, `state_schema`.
#[macro_export]
macro_rules! export_driver {
    ($driver:ident $(: $($interface:ident),+ $(,)?)?) => {
        $crate::__export_interface!(driver $driver);
        $($($crate::__export_interface!($interface $driver);)+)?
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_interface {
    (driver $driver:ident) => { $crate::__export_interface!(@ $driver, Driver, driver); };
    (deploy $driver:ident) => { $crate::__export_interface!(@ $driver, Deploy, deploy); };
    (deploy_steps $driver:ident) => { $crate::__export_interface!(@ $driver, DeploySteps, deploy_steps); };
    (state_schema $driver:ident) => { $crate::__export_interface!(@ $driver, StateSchema, state_schema); };
    (cleaning $driver:ident) => { $crate::__export_interface!(@ $driver, Cleaning, cleaning); };
    (servicing $driver:ident) => { $crate::__export_interface!(@ $driver, Servicing, servicing); };
    (verify $driver:ident) => { $crate::__export_interface!(@ $driver, Verify, verify); };
    (rescue $driver:ident) => { $crate::__export_interface!(@ $driver, Rescue, rescue); };
    (inspection $driver:ident) => { $crate::__export_interface!(@ $driver, Inspection, inspection); };
    (vendor_passthru $driver:ident) => { $crate::__export_interface!(@ $driver, VendorPassthru, vendor_passthru); };
    (@ $driver:ident, $trait:ident, $module:ident) => {
        // Only a component has exports of these names; elsewhere, in a vendor's own tests, the trait is still checked.
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::$module::export!($driver);
        const _: () = {
            const fn implements<T: $crate::$trait>() {}
            implements::<$driver>()
        };
    };
    ($other:ident $driver:ident) => {
        ::core::compile_error!(::core::concat!(
            "`", ::core::stringify!($other), "` is no interface of a driver: use `deploy`, `deploy_steps`, `cleaning`, `servicing`, `verify`, ",
            "`rescue`, `inspection`, `vendor_passthru` or `state_schema`"
        ));
    };
}
