"""The sandbox by itself: the real agent works in it, and has no power over this machine."""

import os
import subprocess
import uuid

from cryptography import x509
from support import image
from support.agent import Agent, head, interface_mac
from support.fake_ironic import FakeIronic
from support.process import HERE, run, wait_until


def test_holds_nothing_of_the_machine(folder, disk):
    work = folder / "work"
    work.mkdir()
    disk.write_bytes(bytes(1024 * 1024))
    env = {"SANDBOX_WORK": str(work), "SANDBOX_DISK": str(disk)}
    inside = lambda script: run([HERE / "agent" / "sandbox", "sh", "-c", script], env=env).strip()  # noqa: E731

    assert inside("id -u; id -G") == "65534\n65534"
    assert {line.split(":")[1].strip() for line in inside("grep ^Cap /proc/self/status").splitlines()} == {"0" * 16}
    assert inside("find /dev -type b; ls /sys/block") == ""
    assert inside("stat -c %F /dev/sda") == "regular file"
    system = {"bin", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr"}
    assert set(inside("ls /").split()) - system <= {work.parts[1], HERE.parts[1]}
    assert inside(f"ls {HERE}").split() == ["agent"]
    assert inside(f"ls {work.parent}").split() == ["work"]
    assert inside("env | cut -d= -f1 | grep -v -E '^(HOME|TMPDIR|LANG|PATH|PWD)$' || true") == ""
    assert str(os.getpid()) not in inside("ls /proc").split()
    for forbidden in ("ip link set lo down", "mknod /tmp/disk b 8 0", "touch /etc/x", "touch /usr/x", "/usr/bin/mount -t tmpfs x /tmp",
                      "echo 1 > /proc/sys/vm/drop_caches"):
        done = subprocess.run([HERE / "agent" / "sandbox", "sh", "-c", forbidden], env={**os.environ, **env}, capture_output=True, timeout=30)
        assert done.returncode != 0, forbidden


def test_agent_looks_up_writes_and_cleans(folder, disk):
    source = folder / "image.raw"
    digest = image.make(source)
    node = {"uuid": str(uuid.uuid4()), "properties": {}, "instance_info": {}, "driver_internal_info": {}, "driver_info": {}}
    ironic = FakeIronic(node, folder, source)
    agent = Agent(ironic.url, folder / "agent", disk)
    try:
        def heartbeat(number: int):
            agent.check()
            return len(ironic.heartbeats) >= number

        wait_until("the agent's first heartbeat", lambda: heartbeat(1), 60)
        assert interface_mac() in ironic.lookups[0]["addresses"].split(",")
        assert ironic.lookups[0]["version"] == "1.62"
        assert ironic.heartbeats[0]["callback_url"].startswith("https://127.0.0.1:")

        # What a host must cope with: no basic constraints, so a library that insists on a CA flag refuses the certificate.
        certificate = x509.load_pem_x509_certificate(ironic.heartbeats[0]["agent_verify_ca"].encode())
        assert certificate.signature_hash_algorithm.name == "sha512"
        assert certificate.public_key().curve.name == "secp384r1"
        assert [extension.oid._name for extension in certificate.extensions] == ["subjectAltName"]

        task = {"node": node, "ports": []}

        def finish(name: str, params: dict) -> dict:
            beats = len(ironic.heartbeats)
            sent = ironic.command(name, params, wait=False)
            assert sent["command_status"] == "RUNNING"
            wait_until("the heartbeat of the command's end", lambda: heartbeat(beats + 1), 60)
            result = next(command for command in ironic.commands() if command["id"] == sent["id"])
            assert result["command_status"] == "SUCCEEDED", result
            return result["command_result"]

        steps = ironic.command("deploy.get_deploy_steps", task, wait=True)["command_result"]
        offered = [step for steps_of_manager in steps["deploy_steps"].values() for step in steps_of_manager]
        write = next(step for step in offered if step["step"] == "write_image")
        arguments = {"image_info": {
            "id": "image.raw", "urls": [f"{ironic.url}/image.raw"], "disk_format": "raw", "container_format": "bare",
            "stream_raw_images": True, "os_hash_algo": "sha256", "os_hash_value": digest, "node_uuid": node["uuid"]}, "configdrive": None}
        written = finish("deploy.execute_deploy_step", {**task, "step": {**write, "args": arguments}, "deploy_version": steps["hardware_manager_version"]})
        assert "written to device /dev/sda" in written["deploy_result"]["result"]
        assert head(disk, source.stat().st_size) == source.read_bytes()
        assert ironic.command("standby.get_partition_uuids", {}, wait=True)["command_result"] is not None
        boot = {"root_uuid": "0x00000000", "efi_system_part_uuid": None, "prep_boot_part_uuid": None, "target_boot_mode": "uefi"}
        finish("image.install_bootloader", boot)

        steps = ironic.command("clean.get_clean_steps", task, wait=True)["command_result"]
        offered = [step for steps_of_manager in steps["clean_steps"].values() for step in steps_of_manager]
        erase = next(step for step in offered if step["step"] == "erase_devices_metadata")
        finish("clean.execute_clean_step", {**task, "step": erase, "clean_version": steps["hardware_manager_version"]})
        assert not any(head(disk, 34 * 512))

        ironic.command("standby.power_off", {}, wait=False)
        wait_until("the agent's poweroff", lambda: agent.called("poweroff"), 30)
        assert agent.alive()
    finally:
        agent.kill()
        ironic.close()
