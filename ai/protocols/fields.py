"""Fields that several formats read. Those that no format reads go to the provider as they are."""

from typing import Any

from ai.http import invalid

LONGEST_MODEL = 200
MOST_PROMPTS = 2048


def model_of(payload: dict[str, Any]) -> str:
    """:raises ValidationFailed: if no model is named"""
    model = payload.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= LONGEST_MODEL or not model.isprintable():
        raise invalid(
            "body.model", "Name a model, such as openai/gpt-4o-mini; GET /v1/models lists them.", "invalid_model"
        )
    return model


def list_of(payload: dict[str, Any], name: str, message: str) -> list[Any]:
    """:raises ValidationFailed: with ``message``, if it is no list or has nothing in it"""
    value = payload.get(name)
    if not isinstance(value, list) or not value:
        raise invalid(f"body.{name}", message, f"invalid_{name}")
    return value


def is_streamed(payload: dict[str, Any]) -> bool:
    """:raises ValidationFailed: if ``stream`` is neither true nor false"""
    stream = payload.get("stream", False)
    if stream is not None and not isinstance(stream, bool):
        raise invalid("body.stream", "stream is true or false.", "invalid_type")
    return bool(stream)


def count_of(payload: dict[str, Any], name: str, *, most: int) -> int:
    """
    Return a whole number from 1, which is what it is if it is left out.

    :raises ValidationFailed: if it is none, or above ``most``
    """
    count = payload.get(name)
    if count is None:
        return 1
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
        raise invalid(f"body.{name}", f"{name} is a whole number from 1 to {most}.", "out_of_range")
    return count


def prompts_of(payload: dict[str, Any], name: str) -> int:
    """
    Return how many prompts there are: a text, tokens, or a list of either.

    :raises ValidationFailed: if there are none, or too many
    """
    value = payload.get(name)
    if isinstance(value, list) and not all(isinstance(each, int) for each in value):
        if len(value) <= MOST_PROMPTS and all(isinstance(each, str | list | dict) and each for each in value):
            return len(value)
    elif isinstance(value, str | list) and value:
        return 1
    message = f"Send a text that is not empty, or a list of 1 to {MOST_PROMPTS} of them."
    raise invalid(f"body.{name}", message, f"invalid_{name}")


def with_usage(payload: dict[str, Any]) -> dict[str, Any]:
    """A streamed answer without usage cannot be settled at once, so it is always asked for."""
    options = payload.get("stream_options")
    return {**payload, "stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True}}
