"""The test suites that clients bring along, run against a host."""

import dataclasses
import json
import pathlib
import subprocess

from .process import CACHE, HERE

ENVIRONMENT = CACHE / "suites-venv"


@dataclasses.dataclass
class Outcome:
    """Which tests of a suite ran, and which failed or were skipped, with the reason; by the end of their names."""

    ran: list[str]
    failed: dict[str, str]
    skipped: dict[str, str]


def packages() -> pathlib.Path:
    """Where the suites lie."""
    return next((ENVIRONMENT / "lib").glob("python3*")) / "site-packages"


def run_suite(suite: str, environment: dict[str, str], folder: pathlib.Path, seconds: float) -> Outcome:
    """Runs the suite in the package folder `suite`, such as `openstack/tests/functional/baremetal`."""
    command = [ENVIRONMENT / "bin" / "python", HERE / "support" / "suite.py", packages() / suite, packages()]
    with (folder / "suite.log").open("wb") as log:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, timeout=seconds,
                              env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment})
    assert done.returncode == 0, f"the suite {suite} broke with status {done.returncode}"
    told = json.loads(done.stdout)
    short = lambda tests: {".".join(name.split(".")[-3:]).split("[")[0]: text for name, text in tests.items()}
    return Outcome(told["ran"], short(told["failed"]), short(told["skipped"]))
