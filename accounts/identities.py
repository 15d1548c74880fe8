"""What a valid credential of an identity provider says about a person, before the database is asked. Pure."""

from dataclasses import dataclass, field
from datetime import datetime

#: As long as the columns that keep them.
MAX_EXTERNAL_ID = 255
MAX_WORD = 50
MAX_IMPERSONATOR = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """
    A person at an identity provider, and the team that they have chosen there, by their ids.

    ``team_role`` is the provider's word for what they are in the team, without Clerk's ``org:``. ``impersonator``
    is whoever acts in the person's name. ``email`` is verified, or empty. ``told_at`` is when the provider said
    all this: its newer news about the team wins.
    """

    external_id: str
    team_id: str = ""
    team_role: str = ""
    impersonator: str = ""
    email: str = ""
    name: str = ""
    told_at: datetime | None = field(default=None, compare=False)


def is_id(value: object, *, prefix: str = "") -> bool:
    """Whether ``value`` can be kept as somebody's id behind ``prefix``: printable text, not only blanks."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and len(prefix) + len(value) <= MAX_EXTERNAL_ID
        and value.isprintable()
    )


def role_word(value: object) -> str:
    """Return the provider's word for a role as it is kept: ``org:admin`` and ``admin`` are one. Empty for none."""
    return value.strip().removeprefix("org:")[:MAX_WORD] if isinstance(value, str) and value.isprintable() else ""
