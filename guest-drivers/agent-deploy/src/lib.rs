//! What the shipped drivers that work with the agent have in common: booting it, having it execute steps, and the way back to the
//! instance. A driver picks what it needs; what it does not call is no import of its component.

pub mod check;
pub mod cleaning;
pub mod command;
pub mod hints;
pub mod image_info;
pub mod in_band;
pub mod instance;
pub mod life;
pub mod machine;
pub mod node;
pub mod ramdisk;
pub mod servicing;
pub mod steps;

/// Implements `Cleaning` and `Servicing`: the agent does both, and the driver boots it and takes it away again.
#[macro_export]
macro_rules! cleans_and_services_by_agent {
    ($driver:ident) => {
        impl ::wrought_sdk::Cleaning for $driver {
            fn prepare_cleaning() -> ::wrought_sdk::Result<::wrought_sdk::Outcome> {
                $crate::cleaning::prepare()
            }

            fn get_clean_steps() -> ::wrought_sdk::Result<::std::vec::Vec<::wrought_sdk::Step>> {
                $crate::cleaning::steps()
            }

            fn execute_clean_step(step: ::wrought_sdk::StepCall) -> ::wrought_sdk::Result<::wrought_sdk::Outcome> {
                $crate::in_band::execute(::wrought_sdk::agent::StepKind::Clean, &step)
            }

            fn tear_down_cleaning() -> ::wrought_sdk::Result<::wrought_sdk::Outcome> {
                $crate::cleaning::tear_down()
            }
        }

        impl ::wrought_sdk::Servicing for $driver {
            fn prepare_service() -> ::wrought_sdk::Result<::wrought_sdk::Outcome> {
                $crate::servicing::prepare()
            }

            fn get_service_steps() -> ::wrought_sdk::Result<::std::vec::Vec<::wrought_sdk::Step>> {
                $crate::servicing::steps()
            }

            fn execute_service_step(step: ::wrought_sdk::StepCall) -> ::wrought_sdk::Result<::wrought_sdk::Outcome> {
                $crate::in_band::execute(::wrought_sdk::agent::StepKind::Service, &step)
            }

            fn tear_down_service() -> ::wrought_sdk::Result<::wrought_sdk::Outcome> {
                $crate::servicing::tear_down()
            }
        }
    };
}
