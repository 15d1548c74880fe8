"""What schemathesis does beside its own."""

import os
from typing import Any

import schemathesis
from schemathesis.generation.meta import TestPhase


@schemathesis.hook("before_load_schema")
def leave_events_out(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """The document says of a stream what an event's data is, as generators of clients read it; here it is the event."""
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                response.get("content", {}).get("text/event-stream", {}).pop("schema", None)


@schemathesis.hook("before_call")
def stay_with_one_customer(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """
    A sequence is one customer's from its first request to its last: what it made is nobody else's.

    Left to itself, schemathesis takes any number of an answer for the next request's ``X-Customer-Id``.
    """
    if case.meta is not None and case.meta.phase.name is TestPhase.STATEFUL:
        kept = {name: value for name, value in (case.headers or {}).items() if isinstance(value, str)}
        case.headers = case.headers.__class__({**kept, "X-Customer-Id": os.environ["FUZZ_CUSTOMER"]})
