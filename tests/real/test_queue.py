"""The `baremetal` command line waits for a node whose deployment waits for its turn, as for any other."""

import json
import threading
import time


def test_deploy_wait_on_a_queued_node(wrought):
    host = wrought(conductor={"automated_clean": False, "max_concurrent_deploy": 1})
    for name in ("first", "second"):
        host.baremetal("node", "create", "--driver", "fake-hardware", "--name", name, "--driver-info", "fake_deploy_delay=6")
        host.baremetal("node", "manage", name, "--wait", "60")
        host.baremetal("node", "provide", name, "--wait", "60")
    host.baremetal("node", "deploy", "first")
    ended: dict[str, float] = {}

    def deploy() -> None:
        host.baremetal("node", "deploy", "second", "--wait", "120")
        ended["second"] = time.monotonic()

    waiting = threading.Thread(target=deploy)
    waiting.start()
    time.sleep(3)
    queued = json.loads(host.baremetal("node", "show", "second", "-f", "json"))
    assert (queued["provision_state"], queued["target_provision_state"], queued["deploy_step"]) == ("deploying", "active", {}), queued
    assert queued["reservation"] is not None
    waiting.join(130)
    assert "second" in ended, "the client gave up"
    for name in ("first", "second"):
        assert json.loads(host.baremetal("node", "show", name, "-f", "json"))["provision_state"] == "active"
