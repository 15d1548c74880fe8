"""What keeps the code in shape, beyond the import contracts in pyproject.toml."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("accounts", "credits", "billing", "ai", "webhooks", "config")
MODULES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text())
    for floor in FLOORS
    for path in sorted((ROOT / floor).rglob("*.py"))
    if "migrations" not in path.parts
}

LONGEST_FUNCTION = 50
LONGEST_MODULE = 300
#: Longer modules, each with its reason.
LONG_MODULES: dict[str, str] = {
    "accounts/errors.py": "every refusal of this floor with its code",
    "accounts/models.py": "everybody who can be somebody, and what the database keeps of them",
    "billing/models.py": "what things cost, what can be bought and what was used, side by side",
    "credits/models.py": "the bank's tables and the rules that the database keeps, side by side",
    "credits/ledger.py": "every way in which one account's books may change, on one page",
    "ai/providers/openrouter.py": "one provider a file",
    "ai/schema.py": "what the gateway's routes take and answer, in one table",
    "config/settings.py": "every setting, read once",
}

WRITES = {"save", "create", "get_or_create", "update", "update_or_create", "delete", "insert"}
LEDGER = re.compile(
    r"\b(Account|Grant|Hold|Draw|LedgerEntry|accounts?|grants?|holds?|draws?|entry|entries|given|opened)\b"
    r"|credits_(account|grant|hold|draw|ledgerentry)"
)
WRITING_SQL = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM|TRUNCATE)\s+credits_")
#: Who writes the ledger's tables. Only the first three move money.
LEDGER_WRITERS = {
    "credits/services.py": "every movement is one of its functions",
    "credits/books.py": "what services decide, written in batches under the account's lock",
    "credits/reversals.py": "a part of the services: refunds, disputes and voids",
    "credits/trial_balance.py": "sums up the entries of a day that is sealed",
    "billing/lookup.py": "opens empty accounts, for many callers at once",
    "billing/retention.py": "erases what resolved holds keep of their calls",
    "billing/batch.py": "notes the provider's id of a generation on its hold",
}

CLOCKS = {"timezone.now", "datetime.now", "datetime.utcnow"}
#: Where the clock is read; below, it is an argument.
EDGES = re.compile(r"/(admin|authentication|holding|management|serializers|views)\b")
FLOORS_WITH_MONEY = ("accounts/", "credits/", "billing/")

OUTSIDE_CLIENTS = {"aiohttp", "httpx", "httpx2", "openai", "requests", "urllib3"}
#: Who talks to the outside world.
CALLERS_OUT = {
    "ai/moderation.py": "asks whether what is asked is allowed",
    "accounts/keyset.py": "fetches the identity provider's public keys",
    "webhooks/clerk_sync/api.py": "reads Clerk's lists of people and teams",
}

#: Floats in a floor with money that measure time.
SECONDS = {"credits/group_commit.py"}


Found = Iterator[tuple[str, ast.AST]]


def nodes(*kinds: type[ast.AST]) -> Found:
    return ((path, node) for path, tree in MODULES.items() for node in ast.walk(tree) if isinstance(node, kinds))


def places(found: Found) -> list[str]:
    return [f"{path}:{node.lineno} {ast.unparse(node)[:80]}" for path, node in found]  # type: ignore[attr-defined]


def test_only_the_bank_writes_the_ledger():
    found = (
        (path, call)
        for path, call in nodes(ast.Call)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and (call.func.attr in WRITES or call.func.attr.startswith("bulk_"))
        and LEDGER.search(" ".join([ast.unparse(call.func.value), *map(ast.unparse, call.args)]))
        and path not in LEDGER_WRITERS
    )
    assert places(found) == []


def test_no_sql_writes_the_ledger_elsewhere():
    found = (
        (path, text)
        for path, text in nodes(ast.Constant)
        if isinstance(text, ast.Constant) and WRITING_SQL.search(str(text.value)) and path not in LEDGER_WRITERS
    )
    assert places(found) == []


def test_the_clock_is_an_argument_below_the_edges():
    found = (
        (path, call)
        for path, call in nodes(ast.Call)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in CLOCKS
        and path.startswith(FLOORS_WITH_MONEY)
        and not EDGES.search(path)
    )
    assert places(found) == []


def test_only_providers_call_out():
    found = (
        (path, node)
        for path, node in nodes(ast.Import, ast.ImportFrom)
        if imported(node) & OUTSIDE_CLIENTS and not path.startswith("ai/providers/") and path not in CALLERS_OUT
    )
    assert places(found) == []


def imported(node: ast.AST) -> set[str]:
    """The packages that an import statement names."""
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()


def test_there_is_no_float_where_money_is():
    found = (
        (path, node)
        for path, node in nodes(ast.Name, ast.Constant)
        if (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
        if path.startswith(("credits/", "billing/")) and path not in SECONDS
    )
    assert places(found) == []


def test_a_function_fits_a_screen():
    found = (
        (path, function)
        for path, function in nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if function.end_lineno - function.lineno >= LONGEST_FUNCTION
    )
    assert places(found) == []


def test_a_module_can_be_read_at_one_sitting():
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in MODULES}
    assert {path for path, count in lines.items() if count > LONGEST_MODULE} == set(LONG_MODULES)


def test_only_entry_points_import_config():
    found = (
        (path, node)
        for path, node in nodes(ast.Import, ast.ImportFrom)
        if "config" in imported(node) and not path.startswith("config/")
    )
    assert places(found) == []
