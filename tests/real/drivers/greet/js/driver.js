// Greets a server and reports the answer; in JavaScript.

import events from "baremetal:deploy/events@0.1.0";
import http from "baremetal:deploy/http@0.1.0";
import log from "baremetal:deploy/log@0.1.0";
import report from "baremetal:deploy/report@0.1.0";
import state from "baremetal:deploy/state@0.1.0";
import task from "baremetal:deploy/task@0.1.0";
import wait from "baremetal:deploy/wait@0.1.0";

const failure = (kind, code, message) => ({ kind, code: `acme.${code}`, message });
const aSecond = () => ({ tag: "wait", val: wait.seconds(1) });
const planned = [{ interface: "vendor", step: "greet", priority: 70, abortable: false, requiresRamdisk: false, arguments: [], rebootRequested: false }];

function greet(node) {
  if (state.get("operation", "node") !== node.uuid) throw failure("failed", "State", "the first call's state is lost");
  const { greeter } = JSON.parse(node.driverInfo);
  if (!greeter) throw failure("missing-parameter", "Greeter", "driver_info/greeter is missing");

  const response = http.get(`${greeter}/${node.uuid}`, []);
  if (response.status === 503) return aSecond();
  if (response.status !== 200 || response.body.tag !== "text") throw failure("failed", "Unfriendly", "the server did not greet back");

  report.put("traits", JSON.stringify(["CUSTOM_GREETED_IN_JS", response.body.val]));
  state.delete("operation", "node");
  log.write("info", "greeted");
  return { tag: "done" };
}

export const driver = {
  describe: () => ({
    name: "acme-greet",
    version: "1.0.0",
    vendor: "ACME",
    summary: "Greets a server and reports its answer; in JavaScript.",
    base: "fake",
    steps: planned,
  }),
  getProperties: () => [{ name: "driver_info/greeter", description: "The URL of the server to greet.", required: true }],
};

export const deploySteps = {
  getDeploySteps: () => planned,
  executeDeployStep(step) {
    if (step.step !== "greet") throw failure("not-found", "NoSuchStep", "this driver has one step: greet");
    const node = task.getNode();
    if (task.getCause().tag === "resumed") return greet(node);
    state.set("operation", "node", node.uuid);
    events.progress(null, "about to greet");
    return aSecond();
  },
};
