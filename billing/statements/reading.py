"""
The entries of one account as a statement: narrowed, newest first, page by page.

The cursor is a sequence number, which an account's entries have without gaps: what is booked
meanwhile moves nothing, and a page costs the same wherever it is. Where no index leads to what
is asked for, a page looks at a bounded number of entries and may come short; its cursor leads on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

from django.db.models import Q, QuerySet
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.models import Customer
from accounts.pagination import DEFAULT_SIZE, LAST_ID, MAX_SIZE, CursorPagination, cursor_of, query_integer
from billing.models import UsageRecord
from credits import history
from credits.models import Account, LedgerEntry

#: How many entries a page looks at where no index leads to those that are asked for.
LOOKED_AT = 10_000
#: How many entries of one reference or generation id a search finds.
MOST_EXACT = 1000
ROWS_A_READ = 1000
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Statement:
    """
    Entries of an account that are numbered above ``after`` and up to ``up_to``.

    ``entries`` narrows them further; ``is_indexed`` says whether that costs no more the rarer they are.
    """

    entries: QuerySet[LedgerEntry]
    after: int
    up_to: int
    is_indexed: bool = True

    @classmethod
    def of(cls, account: Account) -> Self:
        """The whole statement as it is now, whatever is booked while it is read."""
        return cls(account.entries.all(), 0, account.entry_count)

    def page(self, before: int, size: int) -> tuple[list[LedgerEntry], int | None]:
        """Return at most ``size`` entries numbered below ``before``, and the ``before`` of the next page."""
        top = min(self.up_to, before - 1)
        bottom = self.after if self.is_indexed else max(self.after, top - LOOKED_AT)
        found = self.entries.filter(sequence__gt=bottom, sequence__lte=top).order_by("-sequence")
        entries = list(found[: size + 1]) if bottom < top else []
        if len(entries) > size:
            return entries[:size], entries[size - 1].sequence
        return entries, bottom + 1 if bottom > self.after else None

    def all(self) -> Iterator[LedgerEntry]:
        """Yield every entry, newest first, with few in memory."""
        before: int | None = LAST_ID
        while before is not None:
            entries, before = self.page(before, ROWS_A_READ)
            yield from entries


def account_of(customer: Customer, currency: str) -> Account | None:
    """Return the account, if it was ever opened. Reading opens none."""
    return Account.objects.filter(customer=customer, currency=currency).first()


def statement_of(account: Account | None, wanted: dict[str, Any]) -> Statement:
    """Return what ``wanted`` (of a ``StatementFilter``) asks for; nothing, where there is no account."""
    if account is None:
        return Statement(LedgerEntry.objects.none(), 0, 0)
    statement = _within(Statement.of(account), account, wanted)
    if "kind" in wanted:
        statement = replace(statement, entries=_of_kind(statement.entries, wanted["kind"]))
    if "search" in wanted:
        statement = _searched(statement, account, wanted["search"])
    paid_for = {"feature": "hold__usage__feature", "key": "hold__usage__api_key"}
    narrowing = {path: wanted[name] for name, path in paid_for.items() if name in wanted}
    if narrowing:
        statement = replace(statement, entries=statement.entries.filter(**narrowing), is_indexed=False)
    return replace(statement, entries=statement.entries.select_related("hold__usage"))


def _within(statement: Statement, account: Account, wanted: dict[str, Any]) -> Statement:
    """``from`` is included and ``to`` is not; both become numbers of entries."""
    bounds = [name for name in ("from", "to") if name in wanted]
    if not bounds:
        return statement
    found = history.positions(account, [wanted[name] - TICK for name in bounds])
    numbers = dict(zip(bounds, found, strict=True))
    after, up_to = numbers.get("from", 0), numbers.get("to", statement.up_to)
    return replace(statement, after=after, up_to=min(up_to, statement.up_to))


def _of_kind(entries: QuerySet[LedgerEntry], kind: str) -> QuerySet[LedgerEntry]:
    """Nearly all entries are USAGE; the others have an index of their own, which SQLite must be shown."""
    if kind == LedgerEntry.Kind.USAGE:
        return entries.filter(kind=kind)
    return entries.filter(kind=kind).exclude(kind=LedgerEntry.Kind.USAGE)


def _searched(statement: Statement, account: Account, text: str) -> Statement:
    calls = UsageRecord.objects.filter(customer=account.customer_id, generation_id=text).values("hold")
    named = account.entries.filter(reference=text).exclude(kind=LedgerEntry.Kind.USAGE)
    exactly = [*_first(named), *_first(account.entries.filter(hold__in=calls))]
    if exactly:
        return replace(statement, entries=statement.entries.filter(pk__in=exactly))
    contain = Q(reference__icontains=text) | Q(memo__icontains=text) | Q(hold__usage__generation_id__icontains=text)
    return replace(statement, entries=statement.entries.filter(contain), is_indexed=False)


def _first(entries: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry, int]:
    return entries.order_by("-sequence").values_list("pk", flat=True)[:MOST_EXACT]


class StatementPagination(CursorPagination):
    """The pages of a ``Statement``."""

    items_name = "transactions"

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        statement: Statement = queryset
        limit = query_integer(request, "limit", default=DEFAULT_SIZE, maximum=MAX_SIZE)
        before = cursor_of(request)
        entries, following = statement.page(LAST_ID if before is None else before, limit)
        self.next_cursor = None if following is None else str(following)
        return entries
