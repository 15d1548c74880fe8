"""What a credential may do to keys: a key never makes or changes one into something that it is not itself."""

from collections.abc import Collection
from datetime import datetime

from accounts.errors import PermissionDenied
from accounts.models import ApiKey
from accounts.principals import Principal


def refuse_more_than_own(
    principal: Principal, *, scopes: Collection[str], mode: str, expires_at: datetime | None
) -> None:
    """
    Refuse to make a key, or to make one into, what ``principal`` is not.

    :raises PermissionDenied: if the key could do what ``principal`` cannot
    """
    if beyond := sorted(set(scopes) - principal.scopes):
        raise PermissionDenied(f"This credential cannot give away scopes that it lacks: {', '.join(beyond)}.")
    own = principal.api_key
    if own is None:
        return
    refuse_other_mode(principal, mode)
    if is_limited(own):
        raise PermissionDenied("A key that is limited itself cannot make or change keys. Do it in person.")
    if own.expires_at is not None and (expires_at is None or expires_at > own.expires_at):
        raise PermissionDenied("A key that expires cannot make one that outlives it.")


def refuse_other_mode(principal: Principal, mode: str) -> None:
    """:raises PermissionDenied: if a test key reaches for a live one"""
    own = principal.api_key
    if own is not None and own.mode == ApiKey.Mode.TEST and mode != ApiKey.Mode.TEST:
        raise PermissionDenied("A test key can make, change and revoke test keys only.")


def is_limited(key: ApiKey) -> bool:
    """Whether ``key`` is not for everything that its customer and its scopes are for."""
    words = (key.allowed_models, key.allowed_features, key.allowed_addresses)
    numbers = (key.budget, key.requests_per_minute, key.tokens_per_minute, key.concurrent_calls)
    return any(words) or any(number is not None for number in numbers)
