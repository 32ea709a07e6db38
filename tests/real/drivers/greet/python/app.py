"""Greets a server and reports the answer; in Python."""

import json

from componentize_py_types import Err
from wit_world.exports.driver import Description
from wit_world.imports import events, http, log, report, state, task, wait
from wit_world.imports.types import Error, ErrorKind, Outcome, Outcome_Done, Outcome_Wait, Property, Step, StepCall

NODE = "node"
PLANNED = [Step(interface="vendor", step="greet", priority=70, abortable=False, requires_ramdisk=False, arguments=[], reboot_requested=False)]


def failure(kind: ErrorKind, code: str, message: str) -> Err[Error]:
    return Err(Error(kind, f"acme.{code}", message))


def a_second() -> Outcome:
    return Outcome_Wait(wait.seconds(1))


def greet(node: task.Node) -> Outcome:
    if state.get(state.Scope.OPERATION, NODE) != node.uuid:
        raise failure(ErrorKind.FAILED, "State", "the first call's state is lost")
    greeter = json.loads(node.driver_info).get("greeter")
    if not greeter:
        raise failure(ErrorKind.MISSING_PARAMETER, "Greeter", "driver_info/greeter is missing")

    response = http.get(f"{greeter}/{node.uuid}", [])
    if response.status == 503:
        return a_second()
    if response.status != 200 or not isinstance(response.body, http.Body_Text):
        raise failure(ErrorKind.FAILED, "Unfriendly", "the server did not greet back")

    report.put(report.Kind.TRAITS, json.dumps(["CUSTOM_GREETED_IN_PYTHON", response.body.value]))
    state.delete(state.Scope.OPERATION, NODE)
    log.write(log.Level.INFO, "greeted")
    return Outcome_Done()


class Driver:
    def describe(self) -> Description:
        return Description(name="acme-greet", version="1.0.0", vendor="ACME", summary="Greets a server and reports its answer; in Python.",
                           base="fake", steps=PLANNED)

    def get_properties(self) -> list[Property]:
        return [Property("driver_info/greeter", "The URL of the server to greet.", True)]


class DeploySteps:
    def get_deploy_steps(self) -> list[Step]:
        return PLANNED

    def execute_deploy_step(self, step: StepCall) -> Outcome:
        if step.step != "greet":
            raise failure(ErrorKind.NOT_FOUND, "NoSuchStep", "this driver has one step: greet")
        node = task.get_node()
        if isinstance(task.get_cause(), task.Cause_Resumed):
            return greet(node)
        state.set(state.Scope.OPERATION, NODE, node.uuid)
        events.progress(None, "about to greet")
        return a_second()
