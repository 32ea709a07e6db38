// A driver that adds one step to the deployments of `direct`: `settle` flushes the disk through the agent, lets the
// machine rest, and looks whether it is still what it was.
//
// Each call gets a fresh instance, so memory is not freed but where the generated glue does it: what is returned.

#include <stdlib.h>
#include <string.h>

#include "settle.h"

#define CALLS "calls"
#define REST_SECONDS 1

typedef baremetal_deploy_types_error_t error_t;
typedef baremetal_deploy_types_outcome_t outcome_t;

/// Borrows a C string for the time of an import's call.
static settle_string_t text(const char *words) {
  settle_string_t borrowed;
  settle_string_set(&borrowed, words);
  return borrowed;
}

/// Copies a C string for the host, which frees it.
static settle_string_t owned(const char *words) {
  settle_string_t copy;
  settle_string_dup(&copy, words);
  return copy;
}

static bool same(const settle_string_t *left, const char *right) {
  return left->len == strlen(right) && memcmp(left->ptr, right, left->len) == 0;
}

static bool fail(error_t *err, uint8_t kind, const char *code, const char *message) {
  err->kind = kind;
  err->code = owned(code);
  err->message = owned(message);
  return false;
}

static baremetal_deploy_types_step_t *settle_step(void) {
  baremetal_deploy_types_step_t *step = calloc(1, sizeof *step);
  step->interface = owned("deploy");
  step->step = owned("settle");
  // Between the image's writing (80) and the boot of the instance (60), while the agent is up.
  step->priority = 70;
  return step;
}

void exports_baremetal_deploy_driver_describe(exports_baremetal_deploy_driver_description_t *ret) {
  ret->name = owned("acme-settle");
  ret->version = owned("1.0.0");
  ret->vendor = owned("ACME");
  ret->summary = owned("Lets a machine settle after its image was written; an example in C.");
  ret->base.is_some = true;
  ret->base.val = owned("direct");
  ret->steps.ptr = settle_step();
  ret->steps.len = 1;
}

void exports_baremetal_deploy_driver_get_properties(exports_baremetal_deploy_driver_list_property_t *ret) {
  ret->ptr = NULL;
  ret->len = 0;
}

bool exports_baremetal_deploy_deploy_steps_get_deploy_steps(exports_baremetal_deploy_deploy_steps_list_step_t *ret, error_t *err) {
  (void)err;
  ret->ptr = settle_step();
  ret->len = 1;
  return true;
}

/// Flushes the disk, and asks to be called again after the rest.
static bool begin(outcome_t *ret, error_t *err) {
  baremetal_deploy_types_power_state_t power;
  if (!baremetal_deploy_power_get(&power, err)) return false;
  if (power != BAREMETAL_DEPLOY_TYPES_POWER_STATE_ON)
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_CONFLICT, "acme.NotOn", "the machine is not on");

  settle_string_t name = text("standby.sync"), params = text("{}");
  baremetal_deploy_agent_command_t command;
  if (!baremetal_deploy_agent_call(&name, &params, &command, err)) return false;
  if (command.status != BAREMETAL_DEPLOY_AGENT_COMMAND_STATUS_SUCCEEDED)
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_FAILED, "acme.Sync", "the agent could not flush its disk");

  settle_string_t key = text(CALLS), value = text("1");
  if (!baremetal_deploy_state_set(BAREMETAL_DEPLOY_STATE_SCOPE_OPERATION, &key, &value, err)) return false;
  settle_string_t message = text("resting");
  uint32_t percent = 50;
  baremetal_deploy_events_progress(&percent, &message);
  ret->tag = BAREMETAL_DEPLOY_TYPES_OUTCOME_WAIT;
  return baremetal_deploy_wait_seconds(REST_SECONDS, &ret->val.wait, err);
}

/// Ends the step if the agent of before is still there.
static bool finish(outcome_t *ret, error_t *err) {
  settle_string_t key = text(CALLS), calls;
  if (!baremetal_deploy_state_get(BAREMETAL_DEPLOY_STATE_SCOPE_OPERATION, &key, &calls) || !same(&calls, "1"))
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_FAILED, "acme.State", "the first call's state is lost");
  baremetal_deploy_agent_option_session_t session;
  if (!baremetal_deploy_agent_current(&session, err)) return false;
  if (!session.is_some)
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_AGENT_UNREACHABLE, "acme.AgentGone", "the agent is gone");
  baremetal_deploy_state_delete(BAREMETAL_DEPLOY_STATE_SCOPE_OPERATION, &key);
  settle_string_t message = text("settled");
  baremetal_deploy_log_write(BAREMETAL_DEPLOY_LOG_LEVEL_INFO, &message);
  ret->tag = BAREMETAL_DEPLOY_TYPES_OUTCOME_DONE;
  return true;
}

bool exports_baremetal_deploy_deploy_steps_execute_deploy_step(
    baremetal_deploy_types_step_call_t *step, outcome_t *ret, error_t *err) {
  if (!same(&step->step, "settle"))
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_NOT_FOUND, "acme.NoSuchStep", "this driver has one step: settle");
  baremetal_deploy_task_cause_t cause;
  baremetal_deploy_task_get_cause(&cause);
  // After an interruption the flush is simply repeated: it does no harm.
  return cause.tag == BAREMETAL_DEPLOY_TASK_CAUSE_RESUMED ? finish(ret, err) : begin(ret, err);
}
