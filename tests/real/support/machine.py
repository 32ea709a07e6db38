"""Machines with an emulated controller whose agent is the real one: what watches the controller, and boots the agent in its sandbox."""

import http.server
import json
import pathlib
import queue
import threading
import traceback
from typing import Callable

import requests

from .agent import Agent
from .host import Simulator

TICK_SECONDS = 0.2


class Machine:
    """Boots the agent from the ramdisk, ends it when the power goes, and goes off when the agent says so."""

    def __init__(self, api_url: str, folder: pathlib.Path, disk: pathlib.Path, power_off: Callable[[], None], inspects: bool = False):
        self.inspects = inspects
        self.api_url, self.folder, self.disk, self.power_off = api_url, folder, disk, power_off
        self.agents: list[Agent] = []
        self.running: Agent | None = None
        self.failure: str | None = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._live, daemon=True)

    def observe(self) -> None:
        """Looks at the controller once; `TICK_SECONDS` at most."""
        raise NotImplementedError

    def boot(self, ramdisk: bool) -> None:
        self.unplug()
        if ramdisk:
            number = len(self.agents) + 1
            self.running = Agent(self.api_url, self.folder / f"agent-{number}", self.disk, f"agent-{number}", self.inspects)
            self.agents.append(self.running)

    def unplug(self) -> None:
        if self.running:
            self.running.kill()
            self.running = None

    def _live(self) -> None:
        try:
            while not self.ended.is_set():
                self.observe()
                if self.running and self.running.called("poweroff"):
                    self.unplug()
                    self.power_off()
        except Exception:  # noqa: BLE001
            self.failure = traceback.format_exc()
        finally:
            self.unplug()

    def stop(self) -> None:
        self.ended.set()
        self.thread.join(30)
        assert self.failure is None, self.failure


class SimulatedController(Machine):
    """A server of the simulator, whose own agent finds no node and is ignored, because the node's port has another MAC."""

    def __init__(self, simulator: Simulator, index: int, api_url: str, folder: pathlib.Path, disk: pathlib.Path, inspects: bool = False):
        self.simulator, self.index, self.boots = simulator, index, 0
        super().__init__(api_url, folder, disk, self._shut_down, inspects)
        self.thread.start()

    def observe(self) -> None:
        node = self.simulator.node(self.index)
        if node["power_state"].lower() != "on":
            self.unplug()
        elif node["counts"]["power_on"] != self.boots:
            self.boots = node["counts"]["power_on"]
            self.boot(ramdisk=node["agent_stage"] != "absent")
        self.ended.wait(TICK_SECONDS)

    def _shut_down(self) -> None:
        node = self.simulator.node(self.index)
        answer = requests.post(f"{self.simulator.url}{node['system_path']}/Actions/ComputerSystem.Reset", json={"ResetType": "ForceOff"},
                               auth=("admin", "password"), timeout=10)
        answer.raise_for_status()


class Notices:
    """Takes what sushy-emulator tells of each change of its systems."""

    def __init__(self) -> None:
        self.changes: queue.Queue[dict] = queue.Queue()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                outer.changes.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class EmulatedController(Machine):
    """A system of sushy-emulator, which tells `notices` of its changes."""

    def __init__(self, system_url: str, auth: tuple[str, str], notices: Notices, api_url: str, folder: pathlib.Path, disk: pathlib.Path):
        self.system_url, self.auth, self.notices, self.on = system_url, auth, notices, False
        super().__init__(api_url, folder, disk, self._shut_down)
        self.thread.start()

    def observe(self) -> None:
        try:
            system = self.notices.changes.get(timeout=TICK_SECONDS)
        except queue.Empty:
            return
        was, self.on = self.on, system["power_state"] == "On"
        if was and not self.on:
            self.unplug()
        elif self.on and not was:
            inserted = (system.get("boot_image") or {}).get("Cd", [None])[0]
            self.boot(ramdisk=system.get("boot_device") == "Cd" and inserted is not None)

    def _shut_down(self) -> None:
        answer = requests.post(f"{self.system_url}/Actions/ComputerSystem.Reset", json={"ResetType": "ForceOff"}, auth=self.auth, timeout=10)
        answer.raise_for_status()
