"""Fixtures: a folder for each test, a host, a fleet. What a failed test's processes logged is shown with the failure."""

import pathlib
import re
import shutil
import uuid
from typing import Callable, Iterator

import pytest
from support import host
from support.process import CACHE

TAIL_LINES = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        folder = getattr(item, "funcargs", {}).get("folder")
        for log in sorted(folder.rglob("*.log")) if folder else []:
            lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            report.sections.append((str(log.relative_to(folder)), "\n".join(line[:400] for line in lines)))
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[pathlib.Path]:
    """A folder of the test's own; kept when the test fails.

    Not below /tmp, which may be in memory: the agent writes its disk past the page cache, which such a file system refuses.
    """
    path = CACHE / "work" / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())}-{uuid.uuid4().hex[:6]}"
    path.mkdir(parents=True)
    yield path
    if not request.node.stash.get(FAILED, False):
        shutil.rmtree(path)


@pytest.fixture
def disk(folder: pathlib.Path) -> pathlib.Path:
    """The file that an agent takes for its disk."""
    path = folder / "disk.img"
    path.touch()
    return path


@pytest.fixture(scope="session")
def program() -> pathlib.Path:
    return host.binary()


@pytest.fixture
def wrought(program: pathlib.Path, folder: pathlib.Path) -> Iterator[Callable[..., host.Wrought]]:
    """Starts hosts: `wrought(conductor={"automated_clean": False})`. Each must end by itself when it is asked to."""
    started: list[host.Wrought] = []

    def start(**sections: dict[str, object]) -> host.Wrought:
        started.append(host.Wrought(program, folder, **sections))
        return started[-1]

    yield start
    statuses = [one.stop() for one in started]
    assert statuses == [0] * len(started), f"the host's exit status after SIGTERM: {statuses}"


@pytest.fixture
def simulator(program: pathlib.Path, folder: pathlib.Path) -> Iterator[Callable[..., host.Simulator]]:
    """Starts fleets: `simulator(api_url, 2, "--write-delay", "0")`."""
    started: list[host.Simulator] = []

    def start(api_url: str, nodes: int, *options: str) -> host.Simulator:
        started.append(host.Simulator(program, folder, api_url, nodes, *options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
