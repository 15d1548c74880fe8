"""Logs: one line of JSON an event, with the request's id and without bodies, keys or addresses."""

import logging
import re

import structlog
from structlog.typing import EventDict, WrappedLogger

#: Whoever sends long texts must not keep us busy with them: none of these looks twice at the same characters.
SECRETS = re.compile(
    r"ppd_(?:live|test)_\w+"
    r"|\b(?:sk|rk|pk)[-_][\w-]{8,}"
    r"|\bwhsec_[\w+/=-]+"
    r"|(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|(?i:\b(?:bearer|basic)\s+[\w.~+/=-]{8,})"
    r"|(?i:(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://[^\s/@:]{0,200}:[^\s/@]{1,200}@)"
)
MAIL_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
LONGEST = 64 * 1024
PERSONAL = frozenset({"args", "body", "client_addr", "headers", "ip", "peer", "request", "scope", "server_time"})


def json_formatter() -> logging.Formatter:
    """Return the formatter that ``settings.LOGGING`` uses. Fields given as ``extra`` become fields of the line."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            keep_what_may_be_kept,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
    )


def keep_what_may_be_kept(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """
    Drop fields that hold more than a plain value or speak of a person, and blank out credentials
    and mail addresses wherever they stand, also in tracebacks.
    """
    return {
        name: scrub(value) if isinstance(value, str) else value
        for name, value in event.items()
        if name not in PERSONAL and isinstance(value, str | int | float | bool | None)
    }


def scrub(text: str) -> str:
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return MAIL_ADDRESS.sub("[address]", SECRETS.sub("[secret]", text))
