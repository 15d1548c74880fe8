"""A Clerk to read from: its lists, page by page, and the ways in which it can fail."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "sk_test_of_the_tests"


@dataclass
class FakeClerk:
    """Its lists, what it was asked, and what it answers instead the next times: a status, or bytes."""

    users: list[Any] = field(default_factory=list)
    organizations: list[Any] = field(default_factory=list)
    memberships: list[Any] = field(default_factory=list)
    plans: list[Any] = field(default_factory=list)
    faults: list[int | bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, query: dict[str, list[str]]) -> Any:
        if path == "/v1/users/count":
            return {"object": "total_count", "total_count": len(self.users)}
        rows = {"users": self.users, "organizations": self.organizations, "organization_memberships": self.memberships,
                "billing/plans": self.plans}  # fmt: skip
        found = rows[path.removeprefix("/v1/")]
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        assert ("order_by" in query) == (path != "/v1/billing/plans")
        page = found[offset : offset + limit]
        return page if path == "/v1/users" else {"data": page, "total_count": len(found)}


@contextmanager
def running_clerk() -> Iterator[FakeClerk]:
    clerk = FakeClerk()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            clerk.asked.append(self.path)
            fault = clerk.faults.pop(0) if clerk.faults else 200
            status, body = (fault, b"") if isinstance(fault, int) else (200, fault)
            if self.headers["Authorization"] != f"Bearer {KEY}":
                status = 401
            if status == 200 and not body:
                body = json.dumps(clerk.answer(parts.path, parse_qs(parts.query))).encode()
            self.send_response(status)
            self.send_header("Retry-After", "7")
            self.send_header("Location", "https://elsewhere.example")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        clerk.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield clerk
        finally:
            server.shutdown()
            thread.join()
