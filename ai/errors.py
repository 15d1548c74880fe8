"""
What can go wrong with a provider, and before one is asked, as the caller is told it.

A provider's own statuses and texts are translated here once: its 402 is our empty
account, not the customer's; its 401 is our key. ``maybe_billed`` says whether the
provider may have run, and billed us for, the call that failed; where it cannot have,
nothing has to be asked. ``generation_id`` is set where the provider named the generation
before it failed, so that its cost can be asked for.
"""

import re
from collections.abc import Mapping
from typing import Any

from accounts.errors import PrepaidError

NO_RETRY = {"x-should-retry": "false"}
MAX_RETRY_AFTER_SECONDS = 300
MAX_MESSAGE_LENGTH = 500
KEY = re.compile(r"\b(?:sk|rk|pk)[-_][\w-]{8,}")
#: How Anthropic's and OpenAI's formats name what is wrong with our own account.
STATUSES = {
    "authentication": 401,
    "authentication_error": 401,
    "billing_error": 402,
    "payment_required": 402,
    "permission_denied": 403,
    "permission_error": 403,
}
UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")


class ProviderError(PrepaidError):
    """502: the provider failed while it worked on the call."""

    status = 502
    code = "provider_error"
    message = "The model provider failed. You were not charged. Try again."
    maybe_billed = False
    generation_id = ""


class ProviderRefused(ProviderError):
    """400, 404, 413 or 422, as the provider said it: what the caller sent is wrong, for the reason in the message."""

    status = 400
    code = "provider_refused"
    message = "The model provider refused the request. You were not charged. Check the model and the parameters."


class ProviderMisconfigured(ProviderError):
    """503: the provider does not accept the operator's key, or there is none."""

    status = 503
    code = "provider_misconfigured"
    message = (
        "The model provider does not accept this server's credentials. You were not charged. Contact the operator."
    )


class ProviderUnfunded(ProviderError):
    """503: the operator's own balance at the provider is used up; the customer's may be full."""

    status = 503
    code = "provider_unfunded"
    message = "This server's account with the model provider is empty. You were not charged. Contact the operator."


class ProviderBusy(ProviderError):
    """503: the provider limits our rate or is overloaded; ``Retry-After`` as it asked for."""

    status = 503
    code = "provider_busy"
    message = "The model provider is overloaded. You were not charged. Try again in a moment."


class ProviderTimeout(ProviderError):
    """504: the provider did not answer in time, or went silent. It may have run all the same."""

    status = 504
    code = "provider_timeout"
    message = "The model provider did not answer in time. You were not charged. Try again."
    maybe_billed = True


class ProviderUnreachable(ProviderError):
    """502: no connection to the provider; it has not seen the call."""

    code = "provider_unreachable"
    message = "The model provider cannot be reached. You were not charged. Try again."


class ProviderBrokeOff(ProviderError):
    """502: the provider closed the connection before its answer was whole."""

    code = "provider_broke_off"
    message = "The model provider broke off its answer. Try again."
    maybe_billed = True


class ProviderGarbled(ProviderError):
    """502: the provider's answer is not what its interface promises, or is longer than is accepted."""

    code = "provider_garbled"
    message = "The model provider sent an answer that cannot be read. Try again."
    maybe_billed = True


class ContentRefused(PrepaidError):
    """400: the operator's moderation refuses what is asked. ``categories`` says for what."""

    code = "content_refused"
    message = "What you ask for is not allowed here. You were not charged. Change the request."


class ModerationUnavailable(PrepaidError):
    """503: nobody could look at what is asked, and the operator lets nothing pass unseen."""

    status = 503
    code = "moderation_unavailable"
    message = "The request could not be checked. You were not charged. Try again in a moment."


def refusal(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> ProviderError:
    """
    Translate a provider's error status into the answer that our caller gets.

    ``message`` is the provider's own text: passed on, cleaned and bounded, only where the
    caller's request is at fault, for anything else may speak of the operator's account.
    """
    match status:
        case 400 | 404 | 413 | 422:
            text = clean(message)
            error: ProviderError = ProviderRefused(f"{text} (You were not charged.)" if text else None)
            error.status = status
            return error
        case 401 | 403:
            error = ProviderMisconfigured(headers=NO_RETRY)
        case 402 if retry_after(headers or {}):  # it counts what our other calls may still cost
            error = ProviderBusy(headers=retry_after(headers or {}))
        case 402:
            error = ProviderUnfunded(headers=NO_RETRY)
        case 408 | 504 | 524:
            error = ProviderTimeout()
        case 429 | 503 | 529:
            error = ProviderBusy(headers=retry_after(headers or {}))
        case _:
            error = ProviderError()
    return error


def of_event(error: Mapping[str, Any]) -> ProviderError:
    """Return our error for one inside an answer of status 200, where statuses stand as ``code``, or in words."""
    code, message = error.get("code"), error.get("message")
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    elif not isinstance(code, int):
        words = [error.get("type"), error.get("error_type")]
        code = next((STATUSES[word] for word in words if isinstance(word, str) and word in STATUSES), None)
    if isinstance(code, bool) or not isinstance(code, int):
        return ProviderError()
    return refusal(code, message if isinstance(message, str) else "")


def in_place_of(error: Mapping[str, Any]) -> ProviderError | None:
    """Return what the caller is told instead of an error about our own account at the provider; None of any other."""
    ours = of_event(error)
    if not isinstance(ours, ProviderMisconfigured | ProviderUnfunded):
        return None
    ours.message = "This server cannot use the model provider. Contact the operator."
    return ours


def retry_after(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the provider's ``Retry-After`` in seconds, from 1 to 300; nothing where it gave none or a date."""
    value = headers.get("Retry-After", "").strip()
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        return {}
    return {"Retry-After": str(min(max(int(value), 1), MAX_RETRY_AFTER_SECONDS))}


def clean(text: str) -> str:
    """
    Return ``text`` on one line, without control and direction characters, of at most 500 characters.

    Keys are blanked out: a provider may quote ours.
    """
    text = KEY.sub("[secret]", UNPRINTABLE.sub(" ", text)).strip()
    return text if len(text) <= MAX_MESSAGE_LENGTH else text[: MAX_MESSAGE_LENGTH - 1] + "…"
