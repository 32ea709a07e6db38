"""The `baremetal` command line of python-ironicclient, from the enrolment of a node to its removal."""

import json

import pytest
from support.process import wait_until

NAME = "cli-1"
# More than the services that the client checks before it asks for a deployment.
VALIDATED = {"boot", "deploy", "management", "network", "power", "storage"}


def test_a_nodes_life(wrought, simulator):
    host = wrought(conductor={"automated_clean": True})
    fleet = simulator(host.url, 1)

    def baremetal(*words: str) -> object:
        return json.loads(host.baremetal(*words, "-f", "json"))

    def node() -> dict:
        return baremetal("node", "show", NAME)

    def power(state: str) -> None:
        wait_until(f"the node's {state}", lambda: host.node(NAME)["power_state"] == state and host.node(NAME)["target_power_state"] is None, 60)
        assert fleet.node(0)["power_state"].lower() == state.removeprefix("power ")

    assert {"fake-hardware", "redfish"} <= {row["name"] for row in baremetal("driver", "list")}

    created = baremetal("node", "create", "--driver", "redfish", "--name", NAME, "--resource-class", "small",
                        *(word for item in fleet.driver_info(0).items() for word in ("--driver-info", "=".join(item))))
    assert created["provision_state"] == "enroll"
    assert created["driver_info"]["redfish_password"] == "******"
    port = baremetal("port", "create", fleet.node(0)["mac"], "--node", created["uuid"])
    assert port["node_uuid"] == created["uuid"]

    host.baremetal("node", "manage", NAME, "--wait", "60")
    host.baremetal("node", "set", NAME, *(word for item in fleet.image().items() for word in ("--instance-info", "=".join(item))))
    results = {row["Interface"]: row for row in baremetal("node", "validate", NAME)}
    assert {name for name in VALIDATED if results[name]["Result"] is not True} == set(), results

    host.baremetal("node", "provide", NAME, "--wait", "120")
    # The agent of a simulated server offers two: erase_devices_metadata and erase_devices.
    assert fleet.counts(0)["clean_steps"] == 2
    assert [row["name"] for row in baremetal("node", "list", "--provision-state", "available")] == [NAME]

    drive = json.dumps({"meta_data": {"hostname": NAME}, "user_data": "#cloud-config\n"})
    host.baremetal("node", "deploy", NAME, "--config-drive", drive, "--wait", "180")
    deployed = node()
    assert (deployed["provision_state"], deployed["target_provision_state"], deployed["last_error"]) == ("active", None, None)
    assert fleet.counts(0)["image_writes"] == 1

    host.baremetal("node", "power", "off", NAME)
    power("power off")
    host.baremetal("node", "power", "on", NAME)
    power("power on")
    resets = fleet.counts(0)["resets"]
    host.baremetal("node", "reboot", NAME)
    power("power on")
    assert fleet.counts(0)["resets"] > resets

    host.baremetal("node", "maintenance", "set", NAME, "--reason", "a fan")
    assert (node()["maintenance"], node()["maintenance_reason"]) == (True, "a fan")
    host.baremetal("node", "maintenance", "unset", NAME)
    assert (node()["maintenance"], node()["maintenance_reason"]) == (False, None)

    host.baremetal("node", "undeploy", NAME, "--wait", "180")
    assert node()["provision_state"] == "available"
    assert fleet.counts(0)["clean_steps"] == 4
    assert fleet.counts(0)["image_writes"] == 1

    host.baremetal("node", "delete", NAME)
    assert baremetal("node", "list") == []
    with pytest.raises(AssertionError, match="could not be found|404"):
        host.baremetal("node", "show", NAME)


def test_a_refused_deployment_says_why(wrought, simulator):
    host = wrought(conductor={"automated_clean": False})
    fleet = simulator(host.url, 1)
    host.enroll(NAME, "redfish", fleet.driver_info(0), fleet.node(0)["mac"])
    host.provision(NAME, "manage", "manageable")
    with pytest.raises(AssertionError, match="can not be performed on node .* while it is in state .*manageable"):
        host.baremetal("node", "deploy", NAME)
    host.provision(NAME, "provide", "available")
    with pytest.raises(AssertionError, match="image_source"):
        host.baremetal("node", "deploy", NAME)
    assert host.node(NAME)["provision_state"] == "available"


def test_deploy_templates_and_runbooks_are_kept_and_used(wrought):
    host = wrought(conductor={"automated_clean": False})

    def baremetal(*words: str) -> object:
        return json.loads(host.baremetal(*words, "-f", "json"))

    def step(interface: str, name: str, args: dict, **place: int) -> dict:
        return {"interface": interface, "step": name, "args": args, **place}

    # Neither a machine nor its agent is needed to see which steps are executed.
    host.enroll(NAME, "fake-hardware", {}, "52:54:00:00:00:01")
    host.baremetal("node", "add", "trait", NAME, "CUSTOM_BIOS", "CUSTOM_RACK")
    host.provision(NAME, "manage", "manageable")

    settings = {"settings": [{"name": "LogicalProc", "value": "Enabled"}], "admin_password": "hunter2"}
    created = baremetal("deploy", "template", "create", "CUSTOM_BIOS", "--extra", "rack=7",
                        "--steps", json.dumps([step("bios", "factory_reset", {}, priority=90)]))
    assert (created["name"], created["extra"]) == ("CUSTOM_BIOS", {"rack": 7})
    wanted = [step("bios", "factory_reset", {}, priority=50), step("vendor", "log_passthrough", {"message": "done"}, priority=40)]
    host.baremetal("deploy", "template", "set", "CUSTOM_BIOS", "--steps", json.dumps(wanted), "--extra", "row=3")
    host.baremetal("deploy", "template", "unset", "CUSTOM_BIOS", "--extra", "rack")
    shown = baremetal("deploy", "template", "show", "CUSTOM_BIOS")
    assert (shown["steps"], shown["extra"]) == (wanted, {"row": 3})
    assert [row["name"] for row in baremetal("deploy", "template", "list", "--long")] == ["CUSTOM_BIOS"]

    steps = [step("vendor", "log_passthrough", {"message": "last"}, order=2), step("bios", "apply_configuration", settings, order=1)]
    book = baremetal("runbook", "create", "--name", "new-rack", "--description", "For racks that are new", "--steps", json.dumps(steps))
    assert (book["description"], book["public"], book["disable_ramdisk"]) == ("For racks that are new", False, False)
    assert book["steps"][1]["args"]["admin_password"] == "******"
    steps[1]["args"].pop("admin_password")
    host.baremetal("runbook", "set", "new-rack", "--steps", json.dumps(steps), "--disable-ramdisk", "true", "--public", "true")
    shown = baremetal("runbook", "show", "new-rack")
    assert (shown["steps"], shown["disable_ramdisk"], shown["public"]) == (steps, True, True)
    with pytest.raises(AssertionError, match="has no traits"):
        host.baremetal("node", "clean", NAME, "--runbook", "new-rack")
    host.baremetal("runbook", "trait", "add", "new-rack", "CUSTOM_RACK", "CUSTOM_OTHER")
    host.baremetal("runbook", "trait", "remove", "new-rack", "CUSTOM_OTHER")
    assert [row["traits"] for row in baremetal("runbook", "trait", "list", "new-rack")] == ["CUSTOM_RACK"]
    host.baremetal("node", "clean", NAME, "--runbook", "new-rack", "--wait", "60")
    assert host.node(NAME)["provision_state"] == "manageable"

    host.provision(NAME, "provide", "available")
    host.baremetal("node", "set", NAME, "--instance-info", 'traits=["CUSTOM_BIOS"]')
    host.baremetal("node", "deploy", NAME, "--wait", "60")
    host.baremetal("node", "service", NAME, "--runbook", "new-rack", "--wait", "60")
    assert host.node(NAME)["provision_state"] == "active"

    host.baremetal("runbook", "delete", "new-rack")
    host.baremetal("deploy", "template", "delete", "CUSTOM_BIOS")
    assert (baremetal("runbook", "list"), baremetal("deploy", "template", "list")) == ([], [])
