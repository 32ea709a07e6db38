"""The real ironic-python-agent, in its sandbox."""

import os
import pathlib
import signal

from .process import CACHE, HERE, Process, free_port

# Sparse. The agent takes no disk below 4 GiB for the root disk.
DISK_BYTES = 5 * 1024**3


def interface_mac() -> str:
    """The MAC of an interface of this machine: the agent looks itself up by what it finds, so the node's port must have it.

    The agent takes only interfaces of hardware, not bridges and the like, unless there is none.
    """
    found = sorted(pathlib.Path("/sys/class/net").iterdir(), key=lambda interface: (not (interface / "device").exists(), interface.name))
    for interface in found:
        address = (interface / "address").read_text().strip()
        if interface.name != "lo" and address.count(":") == 5 and address != "00:00:00:00:00:00":
            return address
    raise AssertionError("this machine has no network interface but the loopback one: the agent cannot look itself up")


def head(disk: pathlib.Path, size: int) -> bytes:
    """The first `size` bytes of a disk."""
    with disk.open("rb") as file:
        return file.read(size)


class Agent(Process):
    """One boot of the agent. `folder` is the only one that it may write to; `disk` is its disk. With `inspects` its image says
    where to post what it finds."""

    def __init__(self, api_url: str, folder: pathlib.Path, disk: pathlib.Path, name: str = "agent", inspects: bool = False):
        folder.mkdir(parents=True, exist_ok=True)
        # The agent truncates the disk when it writes an image, as it opens a device: a booting machine has a whole disk again.
        with disk.open("ab") as file:
            file.truncate(max(DISK_BYTES, disk.stat().st_size))
        self.calls = folder / "calls.log"
        self.calls.unlink(missing_ok=True)
        port = free_port()
        settings = folder / "agent.conf"
        settings.write_text(f"""[DEFAULT]
debug = true
api_url = {api_url}
listen_host = 127.0.0.1
listen_port = {port}
advertise_host = 127.0.0.1
advertise_port = {port}
enable_auto_tls = true
lookup_timeout = 60
lookup_interval = 1
ip_lookup_attempts = 1
disk_wait_attempts = 1
disk_wait_delay = 0
image_download_connection_retries = 1
image_download_connection_retry_interval = 1
{f"inspection_callback_url = {api_url}/v1/continue_inspection" if inspects else ""}
""")
        environment = CACHE / "agent-venv"
        python = (environment / "bin" / "python").resolve()
        super().__init__(
            name,
            [HERE / "agent" / "sandbox", environment / "bin" / "ironic-python-agent", "--config-file", settings],
            folder,
            {
                "SANDBOX_WORK": str(folder),
                "SANDBOX_DISK": str(disk),
                "SANDBOX_READ": os.pathsep.join([str(environment), *outside_usr(python.parent.parent)]),
            },
        )

    def called(self, program: str) -> bool:
        """Whether the agent called a program that the sandbox only takes note of, `poweroff` for example."""
        return self.calls.exists() and any(line.split()[0] == program for line in self.calls.read_text().splitlines() if line.strip())

    def kill(self) -> None:
        """Ends the agent at once, as a machine that loses its power; all of its sandbox ends with it."""
        self.stop(signal.SIGKILL)


def outside_usr(folder: pathlib.Path) -> list[str]:
    """The folder, unless the sandbox shows it anyway."""
    return [] if folder.is_relative_to("/usr") else [str(folder)]
