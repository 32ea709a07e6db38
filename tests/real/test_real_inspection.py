"""ironic-python-agent 13.0.0 itself inspects a machine, by the driver `agent`; the `baremetal` command line makes the rule and shows what was found."""

import json
import os

from support.agent import interface_mac
from support.machine import SimulatedController

SECONDS = 180


def test_the_agent_posts_what_it_finds_and_cleans_afterwards(folder, disk, wrought, simulator):
    # The file that stands for its disk can be wiped, but not erased as a disk is (ATA, NVMe, shred).
    host = wrought(conductor={"automated_clean": True}, deploy={"erase_devices_priority": 0})
    # The simulator's own agent has the same controller as the node: it must not speak for it.
    fleet = simulator(host.url, 1, "--inspection", "false")
    machine = SimulatedController(fleet, 0, host.url, folder, disk, inspects=True)
    try:
        node = host.enroll("real-3", "redfish", fleet.driver_info(0), interface_mac(), inspect_interface="agent")
        conditions = [{"op": "eq", "args": {"values": ["{inventory[disks][0][serial]}", "FILE0001"]}},
                      {"op": "!is-empty", "args": {"value": "{inventory[cpu][flags]}"}}]
        actions = [{"op": "set-attribute", "args": {"path": "/resource_class", "value": "cpus-{inventory[cpu][count]}"}},
                   {"op": "add-trait", "args": {"name": "CUSTOM_SEEN"}}]
        host.baremetal("inspection", "rule", "create", "--description", "what the sandbox has", "--priority", "70",
                       "--conditions", json.dumps(conditions), "--actions", json.dumps(actions))
        assert "what the sandbox has" in host.baremetal("inspection", "rule", "list")
        host.provision("real-3", "manage", "manageable")
        host.baremetal("node", "inspect", "real-3", "--wait", str(SECONDS), seconds=SECONDS)

        inspected = host.node("real-3")
        assert inspected["provision_state"] == "manageable", inspected["last_error"]
        assert inspected["properties"]["cpu_arch"] == os.uname().machine
        assert inspected["properties"]["cpus"] >= 1
        assert inspected["properties"]["local_gb"] == 4
        assert inspected["resource_class"] == f"cpus-{inspected['properties']['cpus']}"
        assert inspected["traits"] == ["CUSTOM_SEEN"]
        assert inspected["inspection_finished_at"]
        found = json.loads(host.baremetal("node", "inventory", "save", "real-3"))
        assert found["inventory"]["disks"][0]["model"] == "FILE_DISK"
        assert interface_mac() in [interface["mac_address"] for interface in found["inventory"]["interfaces"]]
        assert "generic_hardware_manager" in [manager["name"] for manager in found["plugin_data"]["configuration"]["managers"]]
        assert fleet.node(0)["media"] is None

        # In a cleaning nobody waits for what it finds: it is told so, and goes on.
        host.provision("real-3", "provide", "available", SECONDS)
        assert len(machine.agents) == 2
        assert "Failed to perform inspection" in machine.agents[1].log.read_text()
        assert host.node(node["uuid"])["power_state"] == "power off"
    finally:
        machine.stop()
