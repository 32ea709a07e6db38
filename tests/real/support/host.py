"""The product under test: the host, its simulator and its own command line."""

import json
import os
import pathlib
import subprocess
from typing import Callable

import requests

from .process import CACHE, HERE, Process, free_port, run, wait_until

ROOT = HERE.parent.parent
MICROVERSION = "1.109"


def binary() -> pathlib.Path:
    """The binary to test: `$WROUGHT_BIN`, or what the project builds now."""
    named = os.environ.get("WROUGHT_BIN")
    if named:
        path = pathlib.Path(named).resolve()
        assert path.is_file(), f"WROUGHT_BIN: {path} is no file"
        return path
    done = subprocess.run(["cargo", "build", "--message-format=json-render-diagnostics", "--bin", "wrought"], cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"building wrought failed:\n{done.stderr[-4000:]}"
    made = [json.loads(line) for line in done.stdout.splitlines()]
    return pathlib.Path(next(item["executable"] for item in made if item.get("executable") and item["target"]["name"] == "wrought"))


def toml(sections: dict[str, dict[str, object]]) -> str:
    """Strings, numbers and booleans are written in TOML as they are in JSON."""
    return "\n".join(f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
                     for section, keys in sections.items())


class Simulator(Process):
    """A fleet of `nodes` servers that are none."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, api_url: str, nodes: int, *options: str):
        self.url = f"http://127.0.0.1:{free_port()}"
        super().__init__("simulator", [program, "simulator", "--listen", self.url.removeprefix("http://"), "--api-url", api_url,
                                       "--nodes", str(nodes), "--json", *options], folder)
        wait_until("the simulator", self.ready, 30)

    def ready(self) -> bool:
        self.check()
        return requests.get(f"{self.url}/simulator/v1/nodes", timeout=5).ok

    def node(self, index: int) -> dict:
        answer = requests.get(f"{self.url}/simulator/v1/nodes/{index}", timeout=5)
        answer.raise_for_status()
        return answer.json()

    def counts(self, index: int) -> dict:
        return self.node(index)["counts"]

    def driver_info(self, index: int) -> dict[str, str]:
        """What a node of hardware type `redfish` needs to reach this server."""
        return {
            "redfish_address": self.url,
            "redfish_system_id": self.node(index)["system_path"],
            "redfish_username": "admin",
            "redfish_password": "password",
            "deploy_iso": f"{self.url}/images/agent.iso",
        }

    def image(self) -> dict[str, str]:
        """The `instance_info` of an image that the simulator serves."""
        checksum = requests.get(f"{self.url}/images/instance.raw.sha256", timeout=30)
        checksum.raise_for_status()
        return {"image_source": f"{self.url}/images/instance.raw", "image_checksum": checksum.text.split()[0], "image_disk_format": "raw"}


class Wrought(Process):
    """A running host with a data folder of its own, without authentication unless `api` says otherwise. `prepare` is called before
    it starts."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, prepare: Callable[["Wrought"], None] | None = None,
                 **sections: dict[str, object]):
        self.program, self.data = program, folder / "data"
        if prepare:
            prepare(self)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # Everything that the tests serve is on the loopback address, where images otherwise may not come from.
        sections["image"] = {"allow_loopback": True, **sections.get("image", {})}
        settings = folder / "wrought.toml"
        settings.write_text(toml(sections))
        super().__init__("wrought", [program, "serve", "--listen", f"127.0.0.1:{port}", "--data", self.data, "--config", settings,
                                     "--public-url", self.url], folder)
        wait_until("the host's API", self.ready, 60)

    def ready(self) -> bool:
        self.check()
        return requests.get(f"{self.url}/", timeout=5).ok

    def make_token(self, name: str, *options: str) -> str:
        """A token of a host that does not run."""
        return json.loads(run([self.program, "token", "create", name, *options, "--data", self.data, "--json"], 60))["token"]

    def request(self, method: str, path: str, body: object = None) -> object:
        """A request of Ironic's API; answers the JSON of its reply."""
        answer = requests.request(method, f"{self.url}{path}", json=body, timeout=30, headers={"X-OpenStack-Ironic-API-Version": MICROVERSION})
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def node(self, name: str) -> dict:
        return self.request("GET", f"/v1/nodes/{name}")

    def cli(self, *words: str, seconds: float = 120) -> str:
        """Wrought's own command line."""
        return run([self.program, *words], seconds, {"WROUGHT_URL": self.url})

    def baremetal(self, *words: str, seconds: float = 180) -> str:
        """The `baremetal` command line."""
        return run([CACHE / "clients-venv" / "bin" / "baremetal", *words], seconds, {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": self.url})

    def enroll(self, name: str, driver: str, driver_info: dict[str, str], mac: str, **attributes: object) -> dict:
        """Creates a node and its port."""
        node = self.request("POST", "/v1/nodes", {"name": name, "driver": driver, "driver_info": driver_info, **attributes})
        self.request("POST", "/v1/ports", {"node_uuid": node["uuid"], "address": mac})
        return node

    def provision(self, name: str, target: str, state: str, seconds: float = 120, **arguments: object) -> dict:
        """Asks for a provision state and waits for `state`; fails as soon as the node failed."""
        self.request("PUT", f"/v1/nodes/{name}/states/provision", {"target": target, **arguments})

        def reached() -> dict | None:
            self.check()
            node = self.node(name)
            current = node["provision_state"]
            assert not current.endswith("failed") and current != "error", f"{name} is {current}: {node['last_error']}"
            return node if current == state and node["target_provision_state"] is None else None

        return wait_until(f"{name} to be {state}", reached, seconds)

    def set_instance(self, name: str, instance_info: dict[str, str]) -> None:
        self.request("PATCH", f"/v1/nodes/{name}", [{"op": "add", "path": f"/instance_info/{key}", "value": value}
                                                    for key, value in instance_info.items()])

    def activate(self, name: str, component: pathlib.Path, *grants: str) -> dict:
        """Uploads a driver, grants it what it asked for, and makes it active; answers what the host shows of it."""
        self.cli("driver", "push", name, str(component))
        self.cli("driver", "activate", name, "--grant", ",".join(grants))
        return json.loads(self.cli("driver", "show", name, "--json"))
