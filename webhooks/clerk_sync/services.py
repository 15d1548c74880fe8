"""
Pages of Clerk's lists, kept by the same functions as its webhooks: newer news wins, and what has ended stays ended.

What is missing at Clerk is left alone: only its own news ends anybody.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction

from accounts.models import Customer, Membership, User
from webhooks import clerk_objects
from webhooks.clerk_sync.api import Wait, read_page
from webhooks.errors import InvalidEvent
from webhooks.models import SyncProgress
from webhooks.sources.base import Payload

#: For how long a run that was cut short can be taken up again; later, what it had read may have changed.
RESUMED_WITHIN = timedelta(days=1)


class Effect(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Kind:
    """One of Clerk's lists: where it is, how an object of it is kept, and what is known of those with some ids."""

    name: str
    path: str
    keep: Callable[[Payload, datetime], str]
    known: Callable[[Collection[str]], Mapping[str, Any]]


def _known_users(ids: Collection[str]) -> dict[str, Any]:
    found = User.objects.filter(external_id__in=ids).values_list("external_id", "name", "email")
    return {str(id_): told for id_, *told in found}


def _known_teams(ids: Collection[str]) -> dict[str, Any]:
    found = Customer.objects.filter(kind=Customer.Kind.TEAM, external_id__in=ids).values_list("external_id", "name")
    return {str(id_): name for id_, name in found}


def _known_memberships(ids: Collection[str]) -> dict[str, Any]:
    return dict(Membership.objects.filter(external_id__in=ids).values_list("external_id", "role"))


USERS = Kind("users", "/users", clerk_objects.keep_user, _known_users)
ORGANIZATIONS = Kind("organizations", "/organizations", clerk_objects.keep_team, _known_teams)
MEMBERSHIPS = Kind("memberships", "/organization_memberships", clerk_objects.keep_membership, _known_memberships)
#: In the order in which they are read: whoever is in a team should be known by name first.
KINDS = (USERS, ORGANIZATIONS, MEMBERSHIPS)


@dataclass
class Report:
    """What became of the objects of one list: by effect, and by id for those that are new, changed or skipped."""

    counts: Counter[Effect] = field(default_factory=Counter)
    effects: list[tuple[str, Effect]] = field(default_factory=list)

    @property
    def read(self) -> int:
        return self.counts.total()


@transaction.atomic
def keep_page(kind: Kind, items: Sequence[Payload], *, dry_run: bool = False) -> Report:
    """
    Keep the objects of one page, all or none, and say what that did. With ``dry_run`` it is tried and undone.

    An object without a usable id or time is skipped, and stops no other.
    """
    ids = [id_ for item in items if isinstance(id_ := item.get("id"), str) and id_.isascii() and id_.isprintable()]
    before = kind.known(ids)
    skipped = {number for number, item in enumerate(items) if not _is_kept(kind, item)}
    after = kind.known(ids)
    report = Report()
    for number, item in enumerate(items):
        id_ = str(item.get("id"))
        if number in skipped:
            effect = Effect.SKIPPED
        elif id_ not in before:
            effect = Effect.NEW if id_ in after else Effect.UNCHANGED
        else:
            effect = Effect.UNCHANGED if before[id_] == after.get(id_) else Effect.CHANGED
        report.counts[effect] += 1
        if effect is not Effect.UNCHANGED:
            report.effects.append((id_[:100] if id_.isprintable() else "?", effect))
    transaction.set_rollback(dry_run)
    return report


def _is_kept(kind: Kind, item: Payload) -> bool:
    at = clerk_objects.instant(item.get("updated_at"))
    if at is None:
        return False
    try:
        with transaction.atomic():
            kind.keep(item, at)
    except InvalidEvent:
        return False
    return True


def sync(
    *, page_size: int, now: datetime, dry_run: bool = False, restart: bool = False, wait: Wait | None = None
) -> Iterator[tuple[Kind, int, Report]]:
    """
    Read all of Clerk's lists, and yield each page's kind, where the next page begins, and its report.

    Each page is one transaction with how far the run has come: one that is cut short is taken up by the next,
    within a day, unless that shall ``restart``. A dry run begins at the beginning and leaves no trace.

    :raises ClerkUnreachable: if Clerk fails; what was read until then is kept
    """
    if restart:
        SyncProgress.objects.all().delete()
    SyncProgress.objects.filter(started_at__lt=now - RESUMED_WITHIN).delete()
    progress = {} if dry_run else dict(SyncProgress.objects.values_list("kind", "offset"))
    for kind in KINDS:
        offset, is_more = progress.get(kind.name, 0), True
        while is_more:
            items = read_page(kind.path, offset=offset, limit=page_size, wait=wait)
            offset, is_more = offset + len(items), len(items) == page_size
            with transaction.atomic():
                report = keep_page(kind, items, dry_run=dry_run)
                if not dry_run:
                    SyncProgress.objects.update_or_create(
                        kind=kind.name,
                        defaults={"offset": offset},
                        create_defaults={"offset": offset, "started_at": now},
                    )
            yield kind, offset, report
    if not dry_run:
        SyncProgress.objects.all().delete()
