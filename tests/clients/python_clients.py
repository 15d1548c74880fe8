"""The clients in Python that have an environment of their own: pinned here, installed by ``make test-clients``."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.node import Missing

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parents[1] / "build" / "clients" / "bin" / "python"
PATIENCE_SECONDS = 120


def run(client: str, program: str, **environment: str) -> Any:
    """
    Run a ``program`` of ``python/with_<client>.py`` with ``environment``, and return the JSON that it prints.

    :raises Missing: if the clients are not installed
    """
    if not PYTHON.exists():
        raise Missing("The clients in Python are not installed. `make test-clients` installs them.")
    finished = subprocess.run(
        # Not its own directory first on the path, where a script could hide a library.
        [str(PYTHON), "-P", str(HERE / "python" / f"with_{client}.py"), program],
        env={"PATH": os.environ["PATH"], "LITELLM_LOCAL_MODEL_COST_MAP": "True", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])
