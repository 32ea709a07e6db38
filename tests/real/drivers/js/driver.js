// A driver that deploys by itself: boots the agent, has it write the image, boots the instance.
// Cleaning is left to `direct`.
//
// Nothing survives between two calls but what is in `state`; so each step asks there how far it is.

import agent from "baremetal:deploy/agent@0.1.0";
import boot from "baremetal:deploy/boot@0.1.0";
import events from "baremetal:deploy/events@0.1.0";
import image from "baremetal:deploy/image@0.1.0";
import log from "baremetal:deploy/log@0.1.0";
import power from "baremetal:deploy/power@0.1.0";
import state from "baremetal:deploy/state@0.1.0";
import task from "baremetal:deploy/task@0.1.0";
import wait from "baremetal:deploy/wait@0.1.0";

const DONE = { tag: "done" };
const until = (token) => ({ tag: "wait", val: token });
// A WIT result's error is thrown as the record that it is: an `Error` object has no kind, and ends the call as a trap.
const failure = (kind, code, message) => ({ kind, code: `acme.${code}`, message });

const step = (name, priority) => ({ interface: "deploy", step: name, priority, abortable: false, requiresRamdisk: false, arguments: [], rebootRequested: false });

function timedOut() {
  const cause = task.getCause();
  return cause.tag === "resumed" && cause.val === "timed-out";
}

const phase = () => state.get("operation", "phase");

function enter(name, token) {
  state.set("operation", "phase", name);
  return until(token);
}

function leave() {
  state.delete("operation", "phase");
  return DONE;
}

/** Takes the machine through off to on; `on` says what is waited for after that. */
function restart(prepare, on) {
  switch (phase()) {
    case null:
      power.off();
      return enter("off", wait.power("off", 120));
    case "off":
      if (timedOut()) throw failure("power-failed", "StillOn", "the machine did not go off");
      prepare();
      power.on();
      return enter("on", on());
    default:
      if (timedOut()) throw failure("timeout", "NotUp", "the machine did not come up");
      return leave();
  }
}

const steps = {
  deploy: () => restart(() => boot.prepareRamdisk([]), () => wait.agentBooted(300)),

  write_image() {
    const id = state.get("operation", "command");
    if (id === null) {
      const source = image.resolve();
      const info = {
        id: source.id,
        urls: [source.url],
        disk_format: source.diskFormat,
        container_format: source.containerFormat,
        checksum: source.checksum,
        os_hash_algo: source.hashAlgorithm,
        os_hash_value: source.hashValue,
        stream_raw_images: true,
        node_uuid: task.getNode().uuid,
      };
      const args = JSON.stringify({ image_info: info, configdrive: image.configDrive() });
      const command = agent.runStep("deploy", { interface: "deploy", step: "write_image", args });
      state.set("operation", "command", command.id);
      events.progress(null, `writing ${source.id}`);
      return until(wait.agentCommand(command.id, 600));
    }
    if (timedOut()) throw failure("timeout", "Image", "the image was not written in time");
    const command = agent.status(id);
    if (command.status === "running") return until(wait.agentCommand(id, 600));
    if (command.status !== "succeeded") throw failure("failed", "Image", command.error ?? "the agent could not write the image");
    log.write("info", `agent: ${command.result}`);
    return DONE;
  },

  boot_instance: () =>
    restart(
      () => {
        boot.cleanUpRamdisk();
        boot.prepareInstance();
      },
      () => wait.power("on", 120),
    ),
};

const planned = [step("deploy", 100), step("write_image", 80), step("boot_instance", 20)];

export const driver = {
  describe: () => ({
    name: "acme-plain",
    version: "1.0.0",
    vendor: "ACME",
    summary: "Deploys without ceremony; an example in JavaScript.",
    base: "direct",
    steps: planned,
  }),
  getProperties: () => [],
};

export const deploy = {
  validate() {
    power.get();
    boot.validate();
    image.validate();
  },
  prepare: () => DONE,
  tearDown() {
    if (phase() === null) {
      power.off();
      return enter("off", wait.power("off", 120));
    }
    if (timedOut()) throw failure("power-failed", "StillOn", "the machine did not go off");
    return leave();
  },
  cleanUp() {
    boot.cleanUpRamdisk();
    boot.cleanUpInstance();
    return DONE;
  },
  takeOver: () => DONE,
};

export const deploySteps = {
  getDeploySteps: () => planned,
  executeDeployStep: (call) => steps[call.step](),
};
