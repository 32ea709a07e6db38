"""Processes of a test: started with a log file, ended by their own id, shown when a test fails."""

import os
import pathlib
import signal
import socket
import subprocess
import time
from typing import Callable, TypeVar

CACHE = pathlib.Path(os.environ["WROUGHT_REAL_CACHE"])
HERE = pathlib.Path(__file__).resolve().parent.parent

Answer = TypeVar("Answer")


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what: str, look: Callable[[], Answer], seconds: float, interval: float = 0.2) -> Answer:
    """Asks `look` until it answers something true, and returns that; fails with `what` and the last answer after `seconds`.

    What `look` raises counts as "not yet", but for a failed assertion: that says that it will never come.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            last: object = look()
            if last:
                return last
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001
            last = error
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s; last: {last!r}")
        time.sleep(interval)


class Process:
    """One process, its output in a file."""

    def __init__(self, name: str, command: list[str | pathlib.Path], folder: pathlib.Path, env: dict[str, str] | None = None):
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                [str(word) for word in command], cwd=folder, env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )

    def alive(self) -> bool:
        return self.running.poll() is None

    def check(self) -> None:
        """Fails when the process is gone: nothing that waits for it need wait on."""
        assert self.alive(), f"{self.name} ended with {self.running.returncode}:\n{self.tail()}"

    def stop(self, signal_number: int = signal.SIGTERM, seconds: float = 15) -> int:
        """Ends the process, by force when it takes longer than `seconds`; returns its exit status."""
        if self.alive():
            self.running.send_signal(signal_number)
            try:
                self.running.wait(seconds)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()
        return self.running.returncode

    def tail(self, lines: int = 80) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def run(command: list[str | pathlib.Path], seconds: float = 120, env: dict[str, str] | None = None, cwd: pathlib.Path | None = None) -> str:
    """Runs a command to its end and returns what it printed; fails with all its output when it fails."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
