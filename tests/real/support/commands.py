"""The `baremetal` command line within this process: the client's own code, without a start of Python for each command."""

import contextlib
import io
import json
import logging
import re

from ironicclient.shell import App


class Baremetal:
    """Commands to the host at `url`, and which of them were used."""

    def __init__(self, url: str, version: str | None = None):
        self.options = ["--os-auth-type", "none", "--os-endpoint", url]
        if version:
            self.options += ["--os-baremetal-api-version", version]
        self.used: set[str] = set()

    @staticmethod
    def _run(words: list[str]) -> tuple[int, str, str]:
        # It tells each of its plugins at each start.
        logging.disable(logging.INFO)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            app = App()
            app.stdout, app.stderr = out, err
            try:
                status = app.run(words)
            except SystemExit as end:
                status = end.code
        return status or 0, out.getvalue(), err.getvalue()

    @classmethod
    def all_commands(cls) -> set[str]:
        """Every command that the client lists."""
        _, listed, _ = cls._run(["--help"])
        rows = listed[listed.index("Commands:"):].splitlines()[1:]
        return {match.group(1) for row in rows if (match := re.match(r"  (\S+(?: \S+)*)  ", row))}

    def __call__(self, command: str, *words: str) -> str:
        """Runs a command, such as `node list`; answers what it prints."""
        status, out, err = self._run([*self.options, *command.split(), *words])
        assert status == 0, f"baremetal {command} {' '.join(words)}: status {status}\n{err}\n{out}"
        self.used.add(command)
        return out

    def refused(self, command: str, *words: str) -> str:
        """Runs a command that must fail; answers the reason."""
        status, out, err = self._run([*self.options, *command.split(), *words])
        assert status != 0, f"baremetal {command} {' '.join(words)} was not refused: {out}"
        self.used.add(command)
        return err + out

    def json(self, command: str, *words: str) -> object:
        return json.loads(self(command, *words, "-f", "json"))
