"""The official Node SDK against the running portal; `make node-sdk` installs it."""

import os
import subprocess
from pathlib import Path

import pytest
import requests

from tests.browser_story.running import RunningPortal
from tests.sdk.passerby import Passerby

FOLDER = Path(__file__).parent / "node"


class Script:
    """A script of the folder node/ while it runs: it asks for what takes a person, and is answered."""

    def __init__(self, name: str, portal: RunningPortal, key: str) -> None:
        self.portal = portal
        self.process = subprocess.Popen(
            ["node", name],
            cwd=FOLDER,
            env=os.environ | {"ORIGIN": portal.origin, "KEY": key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self) -> str:
        """Serves it until it ends; the last line that it said."""
        said = ""
        try:
            for line in self.process.stdout or ():
                said, answer = line.strip(), self._answer(*line.split())
                if answer and self.process.stdin:
                    self.process.stdin.write(f"{answer}\n")
                    self.process.stdin.flush()
            assert self.process.wait(30) == 0, self.process.stderr and self.process.stderr.read()
        finally:
            self.process.kill()
            self.process.wait()
        return said

    def _answer(self, word: str, *about: str) -> str:
        if word == "pay":
            return str(Passerby(self.portal.origin).pay(*about).status)
        if word == "open":
            return str(requests.get(*about, timeout=30).status_code)
        return ""


@pytest.mark.parametrize("name", ["tour.mjs", "story.mjs"])
def test_a_script_runs_to_its_end(portal: RunningPortal, key: str, name: str) -> None:
    assert (FOLDER / "node_modules").is_dir(), "the Node SDK is not installed: run `make node-sdk`"
    assert Script(name, portal, key).run() == "done"
