"""The bank: accounts, grants, holds, entries. ``credits.hold`` is its door for any other Django code."""

from typing import Any


def __getattr__(name: str) -> Any:
    """``credits.hold``, found when it is first used: models can only be imported once Django is set up."""
    if name == "hold":
        from credits.holding import hold  # noqa: PLC0415  (see above)

        return hold
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
