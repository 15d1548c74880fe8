"""LiteLLM's proxy, one worker: virtual keys, budgets and spend tracking in PostgreSQL."""

import json
import os

import psycopg

from benchmarks import databases
from benchmarks.compare import SCENARIOS, WARM_UP
from benchmarks.targets import BUILD, Target, post
from tests.postgres import free_port

PEERS = BUILD / "peers"
PROGRAMS = PEERS / "litellm" / "bin"
ENGINE = PEERS / "prisma" / "engine.js"
MASTER_KEY = "sk-master-of-the-benchmark"
#: US dollars: more than the benchmark can spend.
BUDGET = 1_000_000


def target(*, provider_url: str, server_url: str) -> Target:
    """A proxy on a database of its own, made anew on the server that ``server_url`` names."""
    port = free_port()
    database_url = databases.create(server_url, "litellm")
    migrate(database_url)
    settings = BUILD / "litellm.json"  # JSON is YAML
    settings.write_text(json.dumps(configuration(provider_url, database_url)))
    command = [str(PROGRAMS / "litellm"), "--config", str(settings), "--host", "127.0.0.1", "--port", str(port)]
    return Target(
        name="litellm",
        port=port,
        command=command,
        environment=environment(database_url),
        sign_up=lambda: sign_up(f"http://127.0.0.1:{port}"),
        uses_database=True,
        settle_seconds=1,
    )


def configuration(provider_url: str, database_url: str) -> dict[str, object]:
    provider = {"api_base": provider_url, "api_key": "fake"}
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 3e-6}
    models = {scenario.model for scenario in (*SCENARIOS.values(), *WARM_UP)}
    return {
        "model_list": [
            {"model_name": f"vendor/{model}", "litellm_params": {"model": f"openai/{model}", **provider, **prices}}
            for model in sorted(models)
        ],
        "litellm_settings": {"num_retries": 0, "request_timeout": 600, "json_logs": True},
        "general_settings": {
            "master_key": MASTER_KEY,
            "database_url": database_url,
            "database_connection_pool_limit": 10,
            "proxy_batch_write_at": 60,
            "disable_error_logs": True,
        },
    }


def environment(database_url: str) -> dict[str, str]:
    """What its documentation recommends for production, and nothing fetched from outside."""
    stand_in = {"PRISMA_QUERY_ENGINE_BINARY": str(ENGINE)} if ENGINE.exists() else {}
    return {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],  # where Prisma keeps its engine
        "DATABASE_URL": database_url,
        "DISABLE_SCHEMA_UPDATE": "true",
        "DISABLE_ADMIN_UI": "True",
        "NO_DOCS": "True",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_SALT_KEY": "salt of the benchmark",
        **stand_in,
    }


def migrate(database_url: str) -> None:
    scripts = sorted(PEERS.glob("litellm/lib/*/site-packages/litellm_proxy_extras/migrations/*/migration.sql"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        for script in scripts:
            connection.execute(script.read_bytes())


def sign_up(url: str) -> str:
    """Make a user with a budget, and return a key of theirs. :raises OSError: while it cannot be"""
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    user = {"user_id": "benchmark", "auto_create_key": False, "max_budget": BUDGET}
    post(f"{url}/user/new", user, headers)
    key = post(f"{url}/key/generate", {"user_id": "benchmark", "max_budget": BUDGET}, headers)
    return str(json.loads(key)["key"])
