"""ironic-python-agent 13.0.0 itself cleans and deploys a machine, by the driver `direct`."""

from support import image
from support.agent import head, interface_mac
from support.files import Files
from support.machine import SimulatedController

SECONDS = 180


def test_cleans_deploys_and_cleans_again(folder, disk, wrought, simulator):
    source = folder / "served" / "instance.raw"
    source.parent.mkdir()
    digest = image.make(source)
    files = Files(source.parent)
    # The file that stands for its disk can be wiped, but not erased as a disk is (ATA, NVMe, shred).
    host = wrought(conductor={"automated_clean": True}, deploy={"erase_devices_priority": 0})
    fleet = simulator(host.url, 1)
    machine = SimulatedController(fleet, 0, host.url, folder, disk)
    try:
        host.enroll("real-1", "redfish", fleet.driver_info(0), interface_mac())
        host.set_instance("real-1", {"image_source": f"{files.url}/instance.raw", "image_checksum": digest, "image_disk_format": "raw"})
        host.provision("real-1", "manage", "manageable")
        host.provision("real-1", "provide", "available", SECONDS)
        assert erased(machine.agents[0])

        host.provision("real-1", "active", "active", SECONDS)
        assert head(disk, source.stat().st_size) == source.read_bytes()
        assert fleet.node(0)["media"] is None

        host.provision("real-1", "deleted", "available", SECONDS)
        assert erased(machine.agents[2])
        assert not any(head(disk, 1024 * 1024))
        assert len(machine.agents) == 3
    finally:
        machine.stop()
        files.close()


def erased(agent) -> bool:
    completed = [line for line in agent.log.read_text().splitlines() if "Clean step completed" in line]
    return any("'step': 'erase_devices_metadata'" in line for line in completed)
