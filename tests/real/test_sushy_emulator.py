"""A machine whose controller is sushy-emulator, the Redfish emulator of OpenStack, and whose agent is the real one."""

import uuid

import pytest
import requests
from support import image
from support.agent import head, interface_mac
from support.files import Files
from support.machine import EmulatedController, Notices
from support.process import CACHE, Process, free_port, run, wait_until

USER, PASSWORD = "admin", "a password: with : and spaces"
# The emulator takes up to 11 s for each change of power.
SECONDS = 240


@pytest.fixture
def notices():
    taker = Notices()
    yield taker
    taker.close()


@pytest.fixture
def system_url(folder, notices):
    """Starts the emulator with one system, which is off, and Basic authentication; it knows no sessions."""
    system = str(uuid.uuid4())
    accounts, settings = folder / "accounts", folder / "emulator.conf"
    hashed = run([CACHE / "emulator-venv" / "bin" / "python", "-c",
                  "import bcrypt, sys; print(bcrypt.hashpw(sys.argv[1].encode(), bcrypt.gensalt(4)).decode())", PASSWORD])
    accounts.write_text(f"{USER}:{hashed}")
    (folder / "state").mkdir()
    settings.write_text(f"""
SUSHY_EMULATOR_AUTH_FILE = {str(accounts)!r}
SUSHY_EMULATOR_STATE_DIR = {str(folder / "state")!r}
SUSHY_EMULATOR_FAKE_SYSTEMS = [{{"uuid": {system!r}, "name": "machine", "power_state": "Off", "external_notifier": True,
                                "nics": [{{"mac": {interface_mac()!r}, "ip": "127.0.0.1"}}]}}]
EXTERNAL_NOTIFICATION_URL = {notices.url!r}
""")
    port = free_port()
    emulator = Process("emulator", [CACHE / "emulator-venv" / "bin" / "sushy-emulator", "--fake", "--config", settings,
                                    "--interface", "127.0.0.1", "--port", str(port)], folder)

    def ready() -> bool:
        emulator.check()
        return requests.get(f"http://127.0.0.1:{port}/redfish/v1/", timeout=5).ok

    wait_until("the emulator", ready, 30)
    yield f"http://127.0.0.1:{port}/redfish/v1/Systems/{system}"
    emulator.stop()


def test_deploys(folder, disk, notices, system_url, wrought):
    served = folder / "served"
    served.mkdir()
    digest = image.make(served / "instance.raw")
    # The emulator fetches what is inserted, and boots nothing from it.
    (served / "agent.iso").write_bytes(bytes(64 * 1024))
    files = Files(served)
    host = wrought(conductor={"automated_clean": False})
    machine = EmulatedController(system_url, (USER, PASSWORD), notices, host.url, folder, disk)
    try:
        address, path = system_url.split("/redfish/", 1)
        driver_info = {"redfish_address": address, "redfish_system_id": f"/redfish/{path}", "redfish_username": USER,
                       "redfish_password": PASSWORD, "deploy_iso": f"{files.url}/agent.iso"}
        host.enroll("emulated-1", "redfish", driver_info, interface_mac())
        host.set_instance("emulated-1", {"image_source": f"{files.url}/instance.raw", "image_checksum": digest, "image_disk_format": "raw"})
        host.provision("emulated-1", "manage", "manageable")
        host.provision("emulated-1", "provide", "available")
        host.provision("emulated-1", "active", "active", SECONDS)

        assert head(disk, (served / "instance.raw").stat().st_size) == (served / "instance.raw").read_bytes()
        assert len(machine.agents) == 1
        system = requests.get(system_url, auth=(USER, PASSWORD), timeout=10).json()
        assert (system["PowerState"], system["Boot"]["BootSourceOverrideTarget"]) == ("On", "Hdd")
        drive = requests.get(f"{system_url}/VirtualMedia/Cd", auth=(USER, PASSWORD), timeout=10).json()
        assert not drive["Inserted"]
        assert PASSWORD not in host.log.read_text()
    finally:
        machine.stop()
        files.close()
