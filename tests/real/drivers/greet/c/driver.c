// Greets a server and reports the answer; in C. Memory is not freed but where the generated glue does it: each call gets a
// fresh instance.

#include <stdlib.h>
#include <string.h>

#include "greet.h"

#define NODE "node"
#define GREETER "\"greeter\":\""

typedef baremetal_deploy_types_error_t error_t;
typedef baremetal_deploy_types_outcome_t outcome_t;

/// Borrows a C string for the time of an import's call.
static greet_string_t text(const char *words) {
  greet_string_t borrowed;
  greet_string_set(&borrowed, words);
  return borrowed;
}

/// Copies a C string for the host, which frees it.
static greet_string_t owned(const char *words) {
  greet_string_t copy;
  greet_string_dup(&copy, words);
  return copy;
}

static bool same(greet_string_t left, greet_string_t right) {
  return left.len == right.len && memcmp(left.ptr, right.ptr, left.len) == 0;
}

static greet_string_t joined(const greet_string_t *parts, size_t count) {
  greet_string_t all = {.ptr = NULL, .len = 0};
  for (size_t i = 0; i < count; i++) all.len += parts[i].len;
  all.ptr = malloc(all.len + 1);
  size_t at = 0;
  for (size_t i = 0; i < count; at += parts[i].len, i++) memcpy(all.ptr + at, parts[i].ptr, parts[i].len);
  return all;
}

static bool fail(error_t *err, uint8_t kind, const char *code, const char *message) {
  err->kind = kind;
  err->code = owned(code);
  err->message = owned(message);
  return false;
}

static baremetal_deploy_types_step_t *greet_step(void) {
  baremetal_deploy_types_step_t *step = calloc(1, sizeof *step);
  step->interface = owned("vendor");
  step->step = owned("greet");
  step->priority = 70;
  return step;
}

void exports_baremetal_deploy_driver_describe(exports_baremetal_deploy_driver_description_t *ret) {
  ret->name = owned("acme-greet");
  ret->version = owned("1.0.0");
  ret->vendor = owned("ACME");
  ret->summary = owned("Greets a server and reports its answer; in C.");
  ret->base.is_some = true;
  ret->base.val = owned("fake");
  ret->steps.ptr = greet_step();
  ret->steps.len = 1;
}

void exports_baremetal_deploy_driver_get_properties(exports_baremetal_deploy_driver_list_property_t *ret) {
  ret->ptr = calloc(1, sizeof *ret->ptr);
  ret->len = 1;
  ret->ptr->name = owned("driver_info/greeter");
  ret->ptr->description = owned("The URL of the server to greet.");
  ret->ptr->required = true;
}

bool exports_baremetal_deploy_deploy_steps_get_deploy_steps(exports_baremetal_deploy_deploy_steps_list_step_t *ret, error_t *err) {
  (void)err;
  ret->ptr = greet_step();
  ret->len = 1;
  return true;
}

static bool wait_a_second(outcome_t *ret, error_t *err) {
  ret->tag = BAREMETAL_DEPLOY_TYPES_OUTCOME_WAIT;
  return baremetal_deploy_wait_seconds(1, &ret->val.wait, err);
}

/// The URL in the JSON object `driver_info`; a URL has nothing that JSON escapes.
static bool greeter(greet_string_t driver_info, greet_string_t *url) {
  greet_string_t json = joined(&driver_info, 1);
  json.ptr[json.len] = 0;
  char *begin = strstr((char *)json.ptr, GREETER);
  if (begin == NULL) return false;
  begin += strlen(GREETER);
  char *end = strchr(begin, '"');
  if (end == NULL) return false;
  url->ptr = (uint8_t *)begin;
  url->len = (size_t)(end - begin);
  return true;
}

static bool greet(const baremetal_deploy_task_node_t *node, outcome_t *ret, error_t *err) {
  greet_string_t key = text(NODE), noted, server;
  if (!baremetal_deploy_state_get(BAREMETAL_DEPLOY_STATE_SCOPE_OPERATION, &key, &noted) || !same(noted, node->uuid))
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_FAILED, "acme.State", "the first call's state is lost");
  if (!greeter(node->driver_info, &server))
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_MISSING_PARAMETER, "acme.Greeter", "driver_info/greeter is missing");

  greet_string_t path[] = {server, text("/"), node->uuid}, url = joined(path, 3);
  baremetal_deploy_http_list_header_t headers = {.ptr = NULL, .len = 0};
  baremetal_deploy_http_response_t response;
  if (!baremetal_deploy_http_get(&url, &headers, &response, err)) return false;
  if (response.status == 503) return wait_a_second(ret, err);
  if (response.status != 200 || response.body.tag != BAREMETAL_DEPLOY_HTTP_BODY_TEXT)
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_FAILED, "acme.Unfriendly", "the server did not greet back");

  greet_string_t traits[] = {text("[\"CUSTOM_GREETED_IN_C\", \""), response.body.val.text, text("\"]")}, finding = joined(traits, 3);
  if (!baremetal_deploy_report_put(BAREMETAL_DEPLOY_REPORT_KIND_TRAITS, &finding, err)) return false;
  baremetal_deploy_state_delete(BAREMETAL_DEPLOY_STATE_SCOPE_OPERATION, &key);
  greet_string_t message = text("greeted");
  baremetal_deploy_log_write(BAREMETAL_DEPLOY_LOG_LEVEL_INFO, &message);
  ret->tag = BAREMETAL_DEPLOY_TYPES_OUTCOME_DONE;
  return true;
}

bool exports_baremetal_deploy_deploy_steps_execute_deploy_step(
    baremetal_deploy_types_step_call_t *step, outcome_t *ret, error_t *err) {
  if (!same(step->step, text("greet")))
    return fail(err, BAREMETAL_DEPLOY_TYPES_ERROR_KIND_NOT_FOUND, "acme.NoSuchStep", "this driver has one step: greet");
  baremetal_deploy_task_node_t node;
  baremetal_deploy_task_get_node(&node);
  baremetal_deploy_task_cause_t cause;
  baremetal_deploy_task_get_cause(&cause);
  if (cause.tag == BAREMETAL_DEPLOY_TASK_CAUSE_RESUMED) return greet(&node, ret, err);

  greet_string_t key = text(NODE), message = text("about to greet");
  if (!baremetal_deploy_state_set(BAREMETAL_DEPLOY_STATE_SCOPE_OPERATION, &key, &node.uuid, err)) return false;
  baremetal_deploy_events_progress(NULL, &message);
  return wait_a_second(ret, err);
}
