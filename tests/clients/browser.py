"""A page with ``useChat`` at an origin of its own, in a real browser."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from threading import Thread
from typing import Any
from urllib.parse import urlencode

from tests.clients.node import Missing

CHROMIUMS = ["chromium", "chromium-browser", "google-chrome"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_SECONDS = 20


class ChatPage:
    """
    What a person sees and does. It is there until its ``with`` ends.

    The browser's event loop runs in this thread, where Django refuses queries meanwhile.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        #: The bodies that the page has posted.
        self.posted: list[dict[str, Any]] = []
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if request.method == "POST":
            self.posted.append(request.post_data_json)

    def ask(self, question: str, *, files: list[dict[str, Any]] | None = None) -> None:
        self.page.get_by_label("Question").fill(question)
        if files:
            self.page.get_by_label("Files").set_input_files(files)
        self.page.get_by_role("button", name="Send").click()

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button).click()

    def wait_for(self, *, status: str, answers: int = 0) -> None:
        """Wait until the chat has this status, and so many answers are there."""
        self._until(lambda: self.status == status and self.page.locator(".assistant").count() >= answers)

    def wait_for_words(self, words: int) -> None:
        """Wait until the answers have at least so many words."""
        self._until(lambda: len(" ".join(self.messages[1:]).split()) >= words)

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"The page shows: {self.page.inner_text('main')}"

    @property
    def status(self) -> str:
        return self.page.inner_text("#status")

    @property
    def messages(self) -> list[str]:
        return self.page.locator("article p").all_inner_texts()

    @property
    def metadata(self) -> list[Any]:
        """What came with each message; None where nothing did."""
        return [json.loads(text) if text else None for text in self.page.locator("article output").all_inner_texts()]

    @property
    def error(self) -> str | None:
        """The text of the error on the page, None if there is none."""
        return next(iter(self.page.get_by_role("alert").all_inner_texts()), None)


class Site:
    """A web server that serves one script as a page."""

    def __init__(self, script: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>Chat</title><body><script type=module>")
                self.wfile.write(script.replace("</script", "<\\/script").encode() + b"</script>")

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @cached_property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@contextmanager
def chat_page(site: Site, **settings: str) -> Iterator[ChatPage]:
    """
    Open the page of ``site`` in Chromium with ``settings``. No error of the page stays unseen.

    :raises Missing: if Playwright or Chromium is not installed
    """
    try:
        playwright = import_module("playwright.sync_api")
    except ModuleNotFoundError as error:
        raise Missing("Playwright is not installed. `make test-clients` installs it.") from error
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        raise Missing(f"A browser is needed: none of {', '.join(CHROMIUMS)} is installed.")
    failures: list[str] = []
    with (
        site.serving(),
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=chromium, args=FLAGS) as browser,
    ):
        page = browser.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        chat = ChatPage(page)
        page.goto(f"{site.origin}/#{urlencode(settings)}")
        yield chat
    assert failures == []
