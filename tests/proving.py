"""
The proof that follows every test: all sums of ``check_ledger`` in one statement, and the chains.

The command compiles some thirty queries each time, which takes longer than most tests do. Here
they are caught once, as it executes them, and asked all at once whether any of them finds
something. If so, or if a chain is broken, the command itself says what.
"""

from collections.abc import Callable
from functools import cache
from io import StringIO
from typing import Any
from unittest import mock

from django.core.management import call_command
from django.db import connection

from credits import chains

#: What ``check_ledger`` asked of each database when it was caught.
Asked = tuple[str, list[Any]]


@cache
def sums() -> Asked:
    """What finds a difference in any sum. Caught on the first call, on books that are in balance."""
    questions: list[str] = []
    parameters: list[Any] = []

    def catch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith("SELECT"):
            questions.append(f"EXISTS ({sql})")
            parameters.extend(params or ())
        return execute(sql, params, many, context)

    with mock.patch.object(chains, "findings", return_value=()), connection.execute_wrapper(catch):
        call_command("check_ledger", stdout=StringIO())
    assert len(questions) > 20, "the proof has lost its questions"
    return f"SELECT {' OR '.join(questions)}", parameters


def check_books() -> None:
    """
    Prove the books.

    :raises CommandError: if they are not in balance, after each difference was written to stderr
    """
    sql, parameters = sums()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        [is_off] = cursor.fetchone() or [True]
    if is_off or any(True for _ in chains.findings(lambda entries: None)):
        call_command("check_ledger", verbosity=0)
        # What moved while the parts were read is no difference; the command reads one snapshot.
