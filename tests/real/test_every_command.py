"""Every command of the `baremetal` command line does what it says, at the newest version and, in its core, at older ones."""

import json
import pathlib
from typing import Callable

import pytest
from support.commands import Baremetal
from support.host import Wrought
from support.process import wait_until

# Those that ask nothing of a host.
LOCAL = {"complete", "help"}
SECONDS = 60


def wait_for(baremetal: Baremetal, node: str, state: str) -> dict:
    """The node, once it rests in this state."""
    def reached() -> dict | None:
        shown = baremetal.json("node show", node)
        assert shown["provision_state"] == state or not shown["provision_state"].endswith("failed"), shown["last_error"]
        return shown if shown["provision_state"] == state and shown["target_provision_state"] is None and shown["reservation"] is None else None
    return wait_until(f"{node} to be {state}", reached, SECONDS)


def settled(baremetal: Baremetal, node: str) -> dict:
    """The node, once nothing holds it."""
    return wait_until(f"{node} to be free", lambda: (shown := baremetal.json("node show", node))["reservation"] is None and shown, SECONDS)


def uuids(rows: list[dict]) -> list[str]:
    return [row["uuid"] for row in rows]


def chassis(baremetal: Baremetal, _: Wrought) -> None:
    made = baremetal.json("chassis create", "--description", "row 1", "--extra", "rack=7")
    baremetal("chassis set", made["uuid"], "--description", "row 2", "--extra", "unit=3")
    baremetal("chassis unset", made["uuid"], "--extra", "rack")
    shown = baremetal.json("chassis show", made["uuid"])
    assert (shown["description"], shown["extra"]) == ("row 2", {"unit": 3})
    assert uuids(baremetal.json("chassis list", "--long")) == [made["uuid"]]
    baremetal("node create", "--driver", "fake-hardware", "--name", "in-chassis", "--chassis-uuid", made["uuid"])
    assert [row["name"] for row in baremetal.json("node list", "--chassis", made["uuid"])] == ["in-chassis"]
    assert "contains nodes" in baremetal.refused("chassis delete", made["uuid"])
    baremetal("node unset", "in-chassis", "--chassis-uuid")
    baremetal("chassis delete", made["uuid"])
    baremetal("node delete", "in-chassis")
    assert baremetal.json("chassis list") == []


def drivers_and_conductors(baremetal: Baremetal, _: Wrought) -> None:
    names = {row["name"] for row in baremetal.json("driver list", "--long")}
    assert {"fake-hardware", "redfish"} <= names
    assert baremetal.json("driver show", "fake-hardware")["default_deploy_interface"]
    assert "redfish_address" in baremetal("driver property list", "redfish")
    assert baremetal.json("driver raid property list", "fake-hardware")
    baremetal.json("driver passthru list", "fake-hardware")
    assert "No handler for method" in baremetal.refused("driver passthru call", "fake-hardware", "no-such-method")
    (one,) = baremetal.json("conductor list", "--long")
    assert one["alive"] is True
    assert "fake-hardware" in baremetal.json("conductor show", one["hostname"])["drivers"]


def nodes(baremetal: Baremetal, _: Wrought) -> None:
    made = baremetal.json(
        "node create", "--driver", "fake-hardware", "--name", "n1", "--resource-class", "small", "--property", "cpus=8", "--extra", "rack=7",
        "--driver-info", "redfish_password=hunter2", "--owner", "p1", "--lessee", "p2", "--description", "The first", "--shard", "s1",
        "--network-interface", "flat", "--automated-clean", "--conductor-group", "")
    assert (made["provision_state"], made["driver_info"]["redfish_password"], made["shard"]) == ("enroll", "******", "s1")
    baremetal("node set", "n1", "--property", "cpus=16", "--instance-info", "a=b", "--instance-name", "web", "--retired",
              "--retired-reason", "old", "--no-automated-clean", "--disable-power-off", "--raid-interface", "fake",
              "--network-data", '{"links": [], "networks": [], "services": []}')
    baremetal("node unset", "n1", "--extra", "rack", "--lessee", "--retired", "--automated-clean", "--raid-interface", "--instance-info", "a")
    baremetal("node set", "n1", "--enable-power-off", "--name", "n2")
    shown = baremetal.json("node show", "n2", "--fields", "properties", "extra", "lessee", "retired", "automated_clean", "instance_info",
                           "instance_name", "disable_power_off")
    assert shown == {"properties": {"cpus": 16}, "extra": {}, "lessee": None, "retired": False, "automated_clean": None, "instance_info": {},
                     "instance_name": "web", "disable_power_off": False}
    for filter in (["--owner", "p1"], ["--driver", "fake-hardware"], ["--resource-class", "small"], ["--no-maintenance"], ["--unassociated"],
                   ["--shards", "s1"], ["--sharded"], ["--description-contains", "first"], ["--instance-name", "web"],
                   ["--provision-state", "enroll"], ["--no-retired"], ["--conductor-group", ""]):
        assert [row["name"] for row in baremetal.json("node list", *filter, "--limit", "5")] == ["n2"], filter
    assert baremetal.json("node list", "--unsharded") == []
    assert baremetal.json("shard list") == [{"name": "s1", "count": 1}]

    child = baremetal.json("node create", "--driver", "fake-hardware", "--parent-node", made["uuid"])
    assert child["uuid"] in baremetal("node children list", "n2")
    assert len(baremetal.json("node list", "--include-children")) == 2
    assert uuids(baremetal.json("node list", "--parent-node", made["uuid"])) == [child["uuid"]]
    baremetal("node delete", child["uuid"])

    baremetal("node add trait", "n2", "CUSTOM_A")
    baremetal("node trait add", "n2", "CUSTOM_B", "CUSTOM_C")
    baremetal("node trait remove", "n2", "CUSTOM_C")
    assert sorted(row["traits"] for row in baremetal.json("node trait list", "n2")) == ["CUSTOM_A", "CUSTOM_B"]
    baremetal("node remove trait", "n2", "--all")
    assert baremetal.json("node trait list", "n2") == []

    baremetal("node maintenance set", "n2", "--reason", "a fan")
    assert [row["name"] for row in baremetal.json("node list", "--maintenance")] == ["n2"]
    baremetal("node maintenance unset", "n2")
    rows = {row["Interface"]: row["Result"] for row in baremetal.json("node validate", "n2")}
    assert {"bios", "boot", "console", "deploy", "firmware", "inspect", "management", "network", "power", "raid", "rescue", "storage"} == set(rows)
    assert "could not be found" in baremetal.refused("node show", "nobody")
    baremetal("node delete", "n2")


def ports(baremetal: Baremetal, _: Wrought) -> None:
    node = baremetal.json("node create", "--driver", "fake-hardware", "--name", "with-ports", "--network-interface", "flat")["uuid"]
    group = baremetal.json("port group create", "--node", node, "--name", "bond", "--address", "52:54:00:00:00:10", "--mode", "802.3ad",
                           "--property", "miimon=100", "--extra", "a=b", "--support-standalone-ports", "--physical-network", "net1")
    baremetal("port group set", "bond", "--mode", "active-backup", "--extra", "c=d", "--property", "xmit=layer3+4", "--category", "fast")
    baremetal("port group unset", "bond", "--extra", "a", "--property", "miimon", "--category")
    shown = baremetal.json("port group show", "bond")
    assert (shown["mode"], shown["extra"], shown["properties"]) == ("active-backup", {"c": "d"}, {"xmit": "layer3+4"})
    assert uuids(baremetal.json("port group list", "--node", node, "--long")) == [group["uuid"]]
    assert baremetal.json("port group show", "--address", "52:54:00:00:00:10")["uuid"] == group["uuid"]

    port = baremetal.json("port create", "52:54:00:00:00:11", "--node", node, "--local-link-connection", "switch_id=0a:1b:2c:3d:4e:5f",
                          "--local-link-connection", "port_id=Eth1", "--pxe-enabled", "true", "--name", "eth0", "--extra", "a=b",
                          "--description", "upper", "--physical-network", "net1", "--vendor", "acme", "--category", "fast")["uuid"]
    baremetal("port set", port, "--port-group", group["uuid"], "--extra", "c=d", "--name", "eth1", "--pxe-disabled")
    baremetal("port unset", port, "--extra", "a", "--category", "--vendor", "--description")
    shown = baremetal.json("port show", port)
    assert (shown["portgroup_uuid"], shown["extra"], shown["name"], shown["pxe_enabled"], shown["description"]) == (
        group["uuid"], {"c": "d"}, "eth1", False, None)
    assert baremetal.json("port show", "--address", "52:54:00:00:00:11")["uuid"] == port
    assert uuids(baremetal.json("port list", "--node", node, "--long")) == [port]
    assert uuids(baremetal.json("port list", "--port-group", group["uuid"])) == [port]
    baremetal("port unset", port, "--port-group", "--local-link-connection", "port_id")
    baremetal("port set", port, "--pxe-enabled")

    baremetal("node vif attach", "with-ports", "vif-1", "--port-uuid", port)
    assert [row["id"] for row in baremetal.json("node vif list", "with-ports")] == ["vif-1"]
    assert baremetal.json("port show", port)["internal_info"] == {"tenant_vif_port_id": "vif-1"}
    baremetal("node vif detach", "with-ports", "vif-1")
    assert baremetal.json("node vif list", "with-ports") == []

    baremetal("port delete", port)
    baremetal("port group delete", "bond")

    connector = baremetal.json("volume connector create", "--node", node, "--type", "iqn", "--connector-id", "iqn.2026-11.example:n1",
                               "--extra", "a=b")["uuid"]
    target = baremetal.json("volume target create", "--node", node, "--type", "iscsi", "--boot-index", "0", "--volume-id", "v1",
                            "--property", "target_portal=192.0.2.1:3260", "--property", "auth_password=hunter2")
    assert target["properties"]["auth_password"] == "******"
    baremetal("node power off", "with-ports")
    wait_until("the power to be off", lambda: baremetal.json("node show", "with-ports")["power_state"] == "power off", SECONDS)
    settled(baremetal, "with-ports")
    baremetal("volume connector set", connector, "--connector-id", "iqn.2026-11.example:n2", "--extra", "c=d")
    baremetal("volume connector unset", connector, "--extra", "a")
    assert (shown := baremetal.json("volume connector show", connector))["connector_id"] == "iqn.2026-11.example:n2" and shown["extra"] == {"c": "d"}
    assert uuids(baremetal.json("volume connector list", "--node", node)) == [connector]
    baremetal("volume target set", target["uuid"], "--volume-id", "v2", "--extra", "a=b")
    baremetal("volume target unset", target["uuid"], "--extra", "a", "--property", "target_portal")
    shown = baremetal.json("volume target show", target["uuid"])
    assert (shown["volume_id"], shown["extra"], set(shown["properties"])) == ("v2", {}, {"auth_password"})
    assert uuids(baremetal.json("volume target list", "--node", node, "--long")) == [target["uuid"]]
    baremetal("volume target delete", target["uuid"])
    baremetal("volume connector delete", connector)
    baremetal("node delete", "with-ports")


def recipes(baremetal: Baremetal, _: Wrought) -> None:
    steps = json.dumps([{"interface": "bios", "step": "factory_reset", "args": {}, "priority": 50}])
    baremetal("deploy template create", "CUSTOM_T", "--steps", steps, "--extra", "a=b")
    baremetal("deploy template set", "CUSTOM_T", "--extra", "c=d")
    baremetal("deploy template unset", "CUSTOM_T", "--extra", "a")
    assert baremetal.json("deploy template show", "CUSTOM_T")["extra"] == {"c": "d"}
    assert [row["name"] for row in baremetal.json("deploy template list")] == ["CUSTOM_T"]
    baremetal("deploy template delete", "CUSTOM_T")

    steps = json.dumps([{"interface": "bios", "step": "factory_reset", "args": {}, "order": 1}])
    baremetal("runbook create", "--name", "book", "--steps", steps, "--extra", "a=b", "--description", "D")
    baremetal("runbook set", "book", "--public", "true", "--extra", "c=d")
    baremetal("runbook unset", "book", "--extra", "a", "--description")
    shown = baremetal.json("runbook show", "book")
    assert (shown["public"], shown["extra"], shown["description"]) == (True, {"c": "d"}, None)
    baremetal("runbook trait add", "book", "CUSTOM_A", "CUSTOM_B")
    baremetal("runbook trait remove", "book", "CUSTOM_A")
    assert [row["traits"] for row in baremetal.json("runbook trait list", "book")] == ["CUSTOM_B"]
    assert [row["name"] for row in baremetal.json("runbook list")] == ["book"]
    baremetal("runbook delete", "book")

    actions = json.dumps([{"op": "set-attribute", "args": {"path": "/extra/rack", "value": 7}}])
    rule = baremetal.json("inspection rule create", "--actions", actions, "--description", "D", "--priority", "10", "--conditions", "[]")["uuid"]
    baremetal("inspection rule set", rule, "--priority", "20")
    baremetal("inspection rule unset", rule, "--description")
    shown = baremetal.json("inspection rule show", rule)
    assert (int(shown["priority"]), shown["description"]) == (20, None)
    assert uuids(baremetal.json("inspection rule list")) == [rule]
    baremetal("inspection rule delete", rule)


def hardware(baremetal: Baremetal, host: Wrought) -> None:
    baremetal("node create", "--driver", "fake-hardware", "--name", "m1")
    baremetal("node manage", "m1", "--wait")
    for command, state in (("node power on", "power on"), ("node reboot", "power on"), ("node power off", "power off")):
        baremetal(command, "m1")
        wait_until(f"{command} to end", lambda: (shown := settled(baremetal, "m1"))["power_state"] == state and not shown["target_power_state"], SECONDS)
    baremetal("node boot device set", "m1", "disk", "--persistent")
    assert baremetal.json("node boot device show", "m1")["boot_device"] == "disk"
    assert "pxe" in baremetal("node boot device show", "m1", "--supported")
    baremetal("node boot mode set", "m1", "uefi")
    wait_until("the boot mode", lambda: settled(baremetal, "m1")["boot_mode"] == "uefi", SECONDS)
    for command, on in (("node secure boot on", True), ("node secure boot off", False)):
        baremetal(command, "m1")
        wait_until(command, lambda: settled(baremetal, "m1")["secure_boot"] is on, SECONDS)
    baremetal("node inject nmi", "m1")
    for command, on in (("node console enable", True), ("node console disable", False)):
        baremetal(command, "m1")
        wait_until(command, lambda: baremetal.json("node console show", "m1")["console_enabled"] is on, SECONDS)
    baremetal("node bios setting list", "m1", "--long")
    assert "404" in baremetal.refused("node bios setting show", "m1", "NoSuchSetting")
    baremetal("node firmware list", "m1")
    assert "second_method" in baremetal("node passthru list", "m1")
    baremetal("node passthru call", "m1", "second_method", "--arg", "bar=ok", "--http-method", "POST")
    settled(baremetal, "m1")
    baremetal("node set", "m1", "--target-raid-config", '{"logical_disks": [{"size_gb": 100, "raid_level": "1"}]}')
    assert settled(baremetal, "m1")["target_raid_config"]["logical_disks"][0]["raid_level"] == "1"
    baremetal("node unset", "m1", "--target-raid-config")

    baremetal("node inspect", "m1", "--wait")
    assert json.loads(baremetal("node inventory save", "m1"))["inventory"]["cpu"]["architecture"] == "x86_64"
    step = json.dumps([{"interface": "bios", "step": "factory_reset"}])
    baremetal("node clean", "m1", "--clean-steps", step)
    wait_for(baremetal, "m1", "manageable")
    events = baremetal.json("node history list", "m1")
    if events:
        baremetal("node history get", "m1", events[0]["uuid"])
    else:
        assert "404" in baremetal.refused("node history get", "m1", "00000000-0000-4000-8000-000000000000")
    baremetal("node delete", "m1")


def allocations(baremetal: Baremetal, _: Wrought) -> None:
    baremetal("node create", "--driver", "fake-hardware", "--name", "a1", "--resource-class", "tiny")
    baremetal("node manage", "a1")
    wait_for(baremetal, "a1", "manageable")
    baremetal("node provide", "a1")
    wait_for(baremetal, "a1", "available")
    made = baremetal.json("allocation create", "--resource-class", "tiny", "--name", "mine", "--extra", "a=b", "--wait")
    assert made["state"] == "active"
    baremetal("allocation set", "mine", "--extra", "c=d")
    baremetal("allocation unset", "mine", "--extra", "a")
    shown = baremetal.json("allocation show", "mine")
    assert (shown["extra"], shown["node_uuid"]) == ({"c": "d"}, baremetal.json("node show", "a1")["uuid"])
    assert baremetal.json("node show", "a1")["allocation_uuid"] == made["uuid"]
    assert [row["name"] for row in baremetal.json("allocation list", "--state", "active", "--resource-class", "tiny")] == ["mine"]
    assert "no available nodes" in baremetal.refused("allocation create", "--resource-class", "huge", "--wait")
    baremetal("allocation delete", "mine", *uuids(baremetal.json("allocation list", "--state", "error")))
    assert baremetal.json("node show", "a1")["instance_uuid"] is None
    baremetal("node delete", "a1")


def provisioning(baremetal: Baremetal, host: Wrought) -> None:
    baremetal("node create", "--driver", "fake-hardware", "--name", "p1", "--rescue-interface", "fake")
    baremetal("node manage", "p1", "--wait")
    baremetal("node provide", "p1", "--wait")
    baremetal("node deploy", "p1", "--config-drive", '{"meta_data": {"hostname": "p1"}}')
    wait_for(baremetal, "p1", "active")
    baremetal("node set", "p1", "--protected", "--protected-reason", "precious")
    assert "403" in baremetal.refused("node undeploy", "p1")
    baremetal("node unset", "p1", "--protected")
    for command, words, state in (
        ("node rebuild", [], "active"), ("node rescue", ["--rescue-password", "hunter2hunter2"], "rescue"), ("node unrescue", [], "active"),
        ("node service", ["--service-steps", '[{"interface": "bios", "step": "factory_reset"}]'], "active"),
    ):
        baremetal(command, "p1", *words)
        wait_for(baremetal, "p1", state)
    baremetal("node service", "p1", "--service-steps", '[{"interface": "power", "step": "hold"}]')
    wait_until("the hold", lambda: baremetal.json("node show", "p1")["provision_state"] == "service hold", SECONDS)
    baremetal("node unhold", "p1")
    wait_for(baremetal, "p1", "active")
    baremetal("node undeploy", "p1", "--wait")
    baremetal("node manage", "p1", "--wait")
    baremetal("node clean", "p1", "--clean-steps", '[{"interface": "power", "step": "hold"}]')
    wait_until("the hold", lambda: baremetal.json("node show", "p1")["provision_state"] == "clean hold", SECONDS)
    baremetal("node abort", "p1")
    wait_until("the abort", lambda: baremetal.json("node show", "p1")["provision_state"] in ("clean failed", "manageable"), SECONDS)
    settled(baremetal, "p1")
    if baremetal.json("node show", "p1")["provision_state"] == "clean failed":
        baremetal("node maintenance unset", "p1")
        baremetal("node manage", "p1", "--wait")
    baremetal("node adopt", "p1", "--wait")
    assert baremetal.json("node show", "p1")["provision_state"] == "active"
    baremetal("node undeploy", "p1", "--wait")
    baremetal("node delete", "p1")


def files(baremetal: Baremetal, host: Wrought) -> None:
    resources = host.data.parent / "resources.json"
    resources.write_text(json.dumps({
        "chassis": [{"description": "from a file", "nodes": [{"name": "filed", "driver": "fake-hardware", "ports": [{"address": "52:54:00:00:00:99"}]}]}],
    }))
    baremetal("create", str(resources))
    made = baremetal.json("node show", "filed")
    assert made["chassis_uuid"] and [row["address"] for row in baremetal.json("port list", "--node", made["uuid"])] == ["52:54:00:00:00:99"]
    baremetal("node delete", "filed")


GROUPS: list[Callable[[Baremetal, Wrought], None]] = [
    chassis, drivers_and_conductors, nodes, ports, recipes, hardware, allocations, provisioning, files,
]


def test_every_command(wrought, monkeypatch, folder: pathlib.Path):
    monkeypatch.chdir(folder)
    host = wrought(conductor={"automated_clean": False})
    baremetal = Baremetal(host.url)
    for group in GROUPS:
        group(baremetal, host)
    assert Baremetal.all_commands() - LOCAL - baremetal.used == set()


@pytest.mark.parametrize("version", ["1.31", "1.58", "latest"])
def test_the_core_at_older_versions(wrought, version: str):
    """From enrolment to removal. At 1.31 there are neither traits nor allocations; at 1.58 no retirement."""
    host = wrought(conductor={"automated_clean": True})
    baremetal = Baremetal(host.url, version)
    made = baremetal.json("node create", "--driver", "fake-hardware", "--name", "n1", "--resource-class", "small")
    assert made["provision_state"] == "enroll"
    port = baremetal.json("port create", "52:54:00:00:00:01", "--node", made["uuid"])
    assert port["address"] == "52:54:00:00:00:01"
    older = version == "1.31"
    assert ("traits" in made, "allocation_uuid" in made, "retired" in made) == (not older, not older, version == "latest")
    if older:
        assert "405" in baremetal.refused("node add trait", "n1", "CUSTOM_A")
    else:
        baremetal("node add trait", "n1", "CUSTOM_A")
    baremetal("node manage", "n1", "--wait")
    assert {row["Interface"] for row in baremetal.json("node validate", "n1")} >= {"boot", "deploy", "power"}
    baremetal("node provide", "n1", "--wait")
    baremetal("node set", "n1", "--extra", "a=b")
    if not older:
        assert baremetal.json("allocation create", "--resource-class", "small", "--name", "mine", "--wait")["state"] == "active"
    baremetal("node deploy", "n1", "--wait")
    assert baremetal.json("node show", "n1")["provision_state"] == "active"
    baremetal("node power off", "n1")
    wait_until("the power to be off", lambda: baremetal.json("node show", "n1")["power_state"] == "power off", SECONDS)
    settled(baremetal, "n1")
    baremetal("node undeploy", "n1", "--wait")
    assert [row["name"] for row in baremetal.json("node list", "--provision-state", "available")] == ["n1"]
    baremetal("port delete", port["uuid"])
    baremetal("node delete", "n1")
    assert baremetal.json("node list") == []
