//! Which function of which exported interface a call is.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::Instance;
use wrought_domain::{Function, StepCall};

use crate::call::Raw;
use crate::convert;
use crate::driver::Bindings;
use crate::fault::Cause;
use crate::state::CallState;

/// Calls a function. `step` is what `execute-*-step` and `vendor-passthru.call` are about.
pub(crate) fn invoke<'a>(
    linked: &'a Bindings,
    store: &'a mut Store<CallState>,
    instance: &'a Instance,
    function: Function,
    step: Option<StepCall>,
) -> Pin<Box<dyn Future<Output = wasmtime::Result<Raw>> + Send + 'a>> {
    Box::pin(async move {
        let missing = || wasmtime::Error::new(Cause::NotExported(function.interface().to_owned()));
        let no_step = || wasmtime::Error::new(Cause::Host(format!("{} was called without a step", function.name())));
        let step = step.as_ref();
        let call = || step.map(convert::step_call).ok_or_else(no_step);
        Ok(match function {
            Function::Validate | Function::Prepare | Function::TearDown | Function::CleanUp | Function::TakeOver => {
                let bindings = linked.deploy.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let deploy = bindings.baremetal_deploy_deploy();
                match function {
                    Function::Validate => Raw::Valid(deploy.call_validate(store).await?),
                    Function::Prepare => Raw::Outcome(deploy.call_prepare(store).await?),
                    Function::TearDown => Raw::Outcome(deploy.call_tear_down(store).await?),
                    Function::CleanUp => Raw::Outcome(deploy.call_clean_up(store).await?),
                    _ => Raw::Outcome(deploy.call_take_over(store).await?),
                }
            }
            Function::GetDeploySteps | Function::ExecuteDeployStep => {
                let bindings = linked.steps.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let steps = bindings.baremetal_deploy_deploy_steps();
                match function {
                    Function::GetDeploySteps => Raw::Steps(steps.call_get_deploy_steps(store).await?),
                    _ => Raw::Outcome(steps.call_execute_deploy_step(store, &call()?).await?),
                }
            }
            Function::PrepareCleaning | Function::GetCleanSteps | Function::ExecuteCleanStep | Function::TearDownCleaning => {
                let bindings = linked.cleaning.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let cleaning = bindings.baremetal_deploy_cleaning();
                match function {
                    Function::PrepareCleaning => Raw::Outcome(cleaning.call_prepare_cleaning(store).await?),
                    Function::GetCleanSteps => Raw::Steps(cleaning.call_get_clean_steps(store).await?),
                    Function::ExecuteCleanStep => Raw::Outcome(cleaning.call_execute_clean_step(store, &call()?).await?),
                    _ => Raw::Outcome(cleaning.call_tear_down_cleaning(store).await?),
                }
            }
            Function::PrepareService | Function::GetServiceSteps | Function::ExecuteServiceStep | Function::TearDownService => {
                let bindings = linked.servicing.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let servicing = bindings.baremetal_deploy_servicing();
                match function {
                    Function::PrepareService => Raw::Outcome(servicing.call_prepare_service(store).await?),
                    Function::GetServiceSteps => Raw::Steps(servicing.call_get_service_steps(store).await?),
                    Function::ExecuteServiceStep => Raw::Outcome(servicing.call_execute_service_step(store, &call()?).await?),
                    _ => Raw::Outcome(servicing.call_tear_down_service(store).await?),
                }
            }
            Function::GetVerifySteps | Function::ExecuteVerifyStep => {
                let bindings = linked.verify.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let verify = bindings.baremetal_deploy_verify();
                match function {
                    Function::GetVerifySteps => Raw::Steps(verify.call_get_verify_steps(store).await?),
                    _ => Raw::Outcome(verify.call_execute_verify_step(store, &call()?).await?),
                }
            }
            Function::ValidateRescue | Function::Rescue | Function::Unrescue | Function::CleanUpRescue => {
                let bindings = linked.rescue.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let rescue = bindings.baremetal_deploy_rescue();
                match function {
                    Function::ValidateRescue => Raw::Valid(rescue.call_validate(store).await?),
                    Function::Rescue => Raw::Outcome(rescue.call_rescue(store).await?),
                    Function::Unrescue => Raw::Outcome(rescue.call_unrescue(store).await?),
                    _ => Raw::Outcome(rescue.call_clean_up(store).await?),
                }
            }
            Function::ValidateInspection | Function::InspectHardware | Function::AbortInspection => {
                let bindings = linked.inspection.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let inspection = bindings.baremetal_deploy_inspection();
                match function {
                    Function::ValidateInspection => Raw::Valid(inspection.call_validate(store).await?),
                    Function::InspectHardware => Raw::Outcome(inspection.call_inspect_hardware(store).await?),
                    _ => Raw::Outcome(inspection.call_abort(store).await?),
                }
            }
            Function::VendorCall => {
                let bindings = linked.passthru.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let passthru = bindings.baremetal_deploy_vendor_passthru();
                let call = step.ok_or_else(no_step)?;
                let body = call.args.get("body").unwrap_or(&Value::Null).to_string();
                let http_method = call.args.get("http_method").and_then(Value::as_str).unwrap_or_default();
                Raw::Text(passthru.call_call(store, &call.step, http_method, &body).await?)
            }
            Function::VendorMethods => {
                return Err(wasmtime::Error::new(Cause::Host("methods are asked for when a driver is uploaded".to_owned())));
            }
        })
    })
}
