"""One driver in four languages: sixty-four of its calls at once, on a fresh host for each language."""

import collections
import concurrent.futures
import hashlib
import http.server
import pathlib
import threading
import time
from typing import Callable

import pytest
import requests
from support import drivers
from support.host import Wrought
from support.process import wait_until

NODES = 64
GREET = drivers.SOURCES / "greet"
BUILDS: dict[str, Callable[..., pathlib.Path]] = {
    "c": drivers.build_c,
    "js": drivers.build_js,
    "python": drivers.build_python,
    "go": drivers.build_go,
}
# Well above what any of them needs, and well below what a leak for each call would come to.
MAX_RSS_MIB = 1536


class Greeter:
    """A server that greets back when `NODES` calls are with it at once; who has waited for too long is asked to come again."""

    # Below what the host grants a request.
    PATIENCE_S = 7

    def __init__(self, when_all_are_here: Callable[[], None]) -> None:
        self.present: set[str] = set()
        self.greeted: dict[str, str] = {}
        self.complete = False
        self.changed = threading.Condition()
        self.when_all_are_here = when_all_are_here
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outer.answer(self.path.removeprefix("/"))
                data = (body or "").encode()
                self.send_response(200 if body else 503)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 2 * NODES

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, node: str) -> str | None:
        """What only this node is told; nothing while not everybody is here."""
        with self.changed:
            self.present.add(node)
            if len(self.present) == NODES and not self.complete:
                self.when_all_are_here()
                self.complete = True
                self.changed.notify_all()
            self.changed.wait_for(lambda: self.complete, self.PATIENCE_S)
            self.present.discard(node)
            if not self.complete:
                return None
            self.greeted[node] = f"CUSTOM_HELLO_{hashlib.sha256(node.encode()).hexdigest()[:16].upper()}"
            return self.greeted[node]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def stats(host: Wrought) -> dict:
    answer = requests.get(f"{host.url}/wrought/v1/stats", timeout=30)
    answer.raise_for_status()
    return answer.json()


def rss_mib(host: Wrought) -> int:
    return stats(host)["rss_mib"]


def most_rss_mib(host: Wrought) -> int:
    """The most memory that the host ever held, as Linux tells it."""
    status = pathlib.Path(f"/proc/{host.running.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) // 1024


def enroll(host: Wrought, name: str, index: int, driver_info: dict[str, str]) -> dict:
    return host.enroll(name, "fake-hardware", driver_info, f"52:54:00:00:00:{index:02x}", deploy_interface="acme-greet")


def provision(host: Wrought, names: list[str], target: str, state: str, seconds: float) -> None:
    """Asks for a provision state of all nodes at once and waits until all are there; fails as soon as one failed."""
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: host.request("PUT", f"/v1/nodes/{name}/states/provision", {"target": target}), names))

    def reached() -> bool:
        host.check()
        nodes = host.request("GET", "/v1/nodes?limit=1000&fields=name,provision_state,target_provision_state,last_error")["nodes"]
        failed = [node for node in nodes if node["provision_state"].endswith("failed") or node["provision_state"] == "error"]
        assert not failed, f"{len(failed)} of {len(nodes)} nodes failed, the first: {failed[0]}"
        return len(nodes) == len(names) and all(node["provision_state"] == state and node["target_provision_state"] is None for node in nodes)

    wait_until(f"{len(names)} nodes to be {state}", reached, seconds)


def outcomes(host: Wrought) -> list[tuple[str, str, str]]:
    """Driver, function and outcome of each call of the deployments in the journal."""
    deployments = [operation["id"] for operation in host.request("GET", "/wrought/v1/journal?limit=1000")["operations"]
                   if operation["kind"] == "deploy"]
    return [(call["driver"], call["function"], call["outcome"]) for deployment in deployments
            for call in host.request("GET", f"/wrought/v1/journal/{deployment}")["calls"]]


@pytest.mark.parametrize("language", BUILDS)
def test_sixty_four_calls_at_once(language: str, folder: pathlib.Path, wrought: Callable[..., Wrought], capsys: pytest.CaptureFixture) -> None:
    component = BUILDS[language](folder, GREET / language, GREET / "wit", "greet")
    host = wrought(
        conductor={"automated_clean": False},
        driver_http={"exempt_networks": ["127.0.0.0/8"]},
        # A call of the one in JavaScript counts three times: its component has three memories.
        drivers={"concurrent_calls": 3 * NODES, "driver_concurrent_calls": 3 * NODES},
    )
    names = [f"{language}-{index}" for index in range(NODES)]
    at_once: list[int] = []
    greeter = Greeter(lambda: at_once.append(rss_mib(host)))
    first = rss_mib(host)

    began = time.monotonic()
    host.cli("driver", "push", "acme-greet", str(component), seconds=300)
    host.cli("driver", "activate", "acme-greet", "--grant", f"report,http=GET@{greeter.url}", seconds=300)
    active_s = time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: enroll(host, names[index], index, {"greeter": greeter.url}), range(NODES)))
    provision(host, names, "manage", "manageable", 120)
    provision(host, names, "provide", "available", 120)
    before = rss_mib(host)
    began = time.monotonic()
    provision(host, names, "active", "active", 300)
    deployed_s = time.monotonic() - began
    after, most, figures = rss_mib(host), most_rss_mib(host), stats(host)
    greeter.close()

    call_us = figures["driver_call_us"]
    with capsys.disabled():
        print(f"\n{language}: component {component.stat().st_size / 1024:,.0f} KiB, active {active_s:.1f} s after its upload began; "
              f"{NODES} nodes active after {deployed_s:.1f} s; host RSS {first} MiB at first, {before} before the deployments, "
              f"{', '.join(map(str, at_once))} with {NODES} calls at once, {most} at most, {after} after them; "
              f"{call_us['count']} driver calls, the base's included, of {call_us['p50']} us CPU (p50), {call_us['p99']} us (p99)")

    assert len(at_once) == 1, "the calls never were there at once"
    assert most < MAX_RSS_MIB
    for name in names:
        node = host.node(name)
        assert node["deploy_interface"] == "acme-greet" and node["last_error"] is None
        assert sorted(node["traits"]) == sorted([f"CUSTOM_GREETED_IN_{language.upper()}", greeter.greeted[node["uuid"]]])
    assert len(set(greeter.greeted.values())) == NODES
    assert figures["driver_denials"] == 0
    seen = collections.Counter(outcomes(host))
    assert {outcome for _, _, outcome in seen} <= {"done", "wait", "steps"}, seen
    assert seen[("acme-greet", "deploy-steps.execute-deploy-step", "done")] == NODES
    assert seen[("acme-greet", "deploy-steps.execute-deploy-step", "wait")] >= NODES

    # How each language refuses.
    enroll(host, "nobody-to-greet", NODES, {})
    for target, state in (("manage", "manageable"), ("provide", "available")):
        host.provision("nobody-to-greet", target, state)
    with pytest.raises(AssertionError, match="deploy failed.*driver_info/greeter is missing"):
        host.provision("nobody-to-greet", "active", "active")
