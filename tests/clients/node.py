"""
The clients that run on Node.js: pinned here, installed by ``make test-clients``.

There are three generations, the oldest that is promised to work, the newest that is known, and one between.
The same script runs with each: it is read from standard input, so that its imports are
those of the generation's directory.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INSTALLED = HERE / "node_modules" / ".bin"
GENERATIONS = ["oldest", "middle", "newest"]
OLDEST_NODE = 22
PATIENCE_SECONDS = 120


class Missing(Exception):
    """Something that these tests need is not installed. The message says how to get it."""


class FrontEnd:
    """The front end of ``typed``, in a directory of its own, with a client that is generated from a schema's URL."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def build(self, schema_url: str) -> None:
        """
        Generate the client, and compile all with ``tsc --strict``.

        :raises Missing: if the clients are not installed
        """
        for source in (HERE / "typed").glob("*.*"):
            shutil.copy(source, self._directory)
        (self._directory / "node_modules").symlink_to(HERE / "node_modules")
        plugins = ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk", "@tanstack/react-query"]
        self._run("openapi-ts", "--input", schema_url, "--output", "generated", "--plugins", *plugins)
        self._run("tsc", "--project", ".")
        bundle = ["--bundle", "--platform=node", "--format=esm", "--packages=external", "--jsx=automatic"]
        self._run("esbuild", "journey.ts", *bundle, "--outfile=journey.mjs", "--log-level=warning")

    def journey(self, **environment: str) -> Any:
        """Return the JSON that the journey prints."""
        return json.loads(self._node("journey.mjs", **environment))

    def _run(self, command: str, *arguments: str) -> None:
        self._node(installed(command), *arguments)

    def _node(self, script: str, *arguments: str, **environment: str) -> str:
        finished = subprocess.run(
            [node(), script, *arguments],
            cwd=self._directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout


@dataclass(frozen=True)
class Clients:
    """The clients of one generation."""

    generation: str

    def run(self, script: str, *arguments: str, **environment: str) -> Any:
        """
        Run ``script`` with ``environment`` and no other variables, and return the JSON that it prints.

        :raises Missing: if the clients are not installed
        """
        finished = subprocess.run(
            [node(), "--input-type=module", "-", *arguments],
            input=(HERE / script).read_text(),
            cwd=HERE / self.generation,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    def bundle(self, script: str) -> str:
        """
        Return ``script`` as one script for browsers.

        :raises Missing: if the clients are not installed
        """
        command = [node(), installed("esbuild"), "--bundle", "--loader=jsx", "--jsx=automatic", "--log-level=warning"]
        finished = subprocess.run(
            [*command, '--define:process.env.NODE_ENV="production"'],
            input=(HERE / script).read_text(),
            cwd=HERE / self.generation,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout


def installed(name: str) -> str:
    """
    Return where the executable ``name`` is.

    :raises Missing: if npm has not installed it
    """
    path = INSTALLED / name
    if not path.exists():
        raise Missing(f"{name} is not installed. `make test-clients` installs it, and needs npm for that.")
    return str(path)


def node() -> str:
    """
    Return a Node.js that is new enough: the pinned one, else (where there is none for this machine) the system's.

    :raises Missing: if there is neither
    """
    if (INSTALLED / "node").exists():
        return installed("node")
    installed("esbuild")
    system = shutil.which("node")
    version = subprocess.run([system, "--version"], capture_output=True, text=True, check=True).stdout if system else ""
    if not version or int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        raise Missing(f"Node.js {OLDEST_NODE} or newer is needed here, and there is {version.strip() or 'none'}.")
    return system or ""
