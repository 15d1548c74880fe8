"""What a caller says of a call for its own books: who of its users is behind it, and notes. Kept with the usage."""

from collections.abc import Mapping
from typing import Any

from ai.http import invalid

LONGEST_END_USER = 200
#: As OpenAI has them.
MOST_NOTES, LONGEST_NAME, LONGEST_NOTE = 16, 64, 512


def end_user_of(header: str, payload: Mapping[str, Any]) -> str:
    """
    Return who is behind a call: what ``X-End-User`` says, else ``user``, else Anthropic's ``metadata.user_id``.

    The provider is never told.

    :raises ValidationFailed: if it is no text, or a longer one than is kept
    """
    if header:
        return _checked(header.strip(), "header.X-End-User")
    user = payload.get("user")
    if user is not None:
        return _checked(user, "body.user")
    metadata = payload.get("metadata")
    named = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    return _checked(named, "body.metadata.user_id") if named is not None else ""


def untold(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``payload`` without Anthropic's ``metadata.user_id``. (``user`` is replaced where the call is written.)"""
    metadata = payload.get("metadata")
    if not isinstance(metadata, Mapping) or "user_id" not in metadata:
        return payload
    return {**payload, "metadata": {name: value for name, value in metadata.items() if name != "user_id"}}


def _checked(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_END_USER or not (value.isprintable() or not value):
        message = f"Name your user by a text of at most {LONGEST_END_USER} characters."
        raise invalid(field, message, "INVALID")
    return value


def notes_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """Return what of ``metadata`` is kept: texts, no more and no longer than OpenAI takes them. Others pass by."""
    metadata = payload.get("metadata")
    if not isinstance(metadata, Mapping):
        return {}
    kept = {
        name: value
        for name, value in metadata.items()
        if isinstance(value, str)
        and len(name) <= LONGEST_NAME
        and len(value) <= LONGEST_NOTE
        and "\0" not in name + value
    }
    return dict(list(kept.items())[:MOST_NOTES])
