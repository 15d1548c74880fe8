"""An explanation of a balance, read in one go: an instant, what came before it, and what caused each entry."""

from dataclasses import dataclass, replace
from datetime import datetime

from billing.statements.reading import Statement
from credits import history
from credits.explanation import Difference, State
from credits.ledger import Entry, Lot
from credits.models import Account, Grant, Hold, LedgerEntry

#: How many pending holds an explanation lists, oldest first; what they hold is in its sums.
HOLDS_LISTED = 100


@dataclass(frozen=True, slots=True)
class ExplainedLot:
    lot: Lot
    grant: Grant


@dataclass(frozen=True, slots=True)
class Due:
    """What counts at ``due_at`` though it was booked later, as ``booked``, or is still to be booked."""

    entry: Entry
    grant: Grant
    due_at: datetime
    booked: history.Booked | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why ``account`` had what it had at ``state.at``, and since ``difference.opening.at`` if that was asked."""

    account: Account | None
    state: State
    difference: Difference | None
    lots: list[ExplainedLot]
    due: list[Due]
    holds: list[Hold]

    def entries(self) -> Statement:
        """The entries by then, or those of the difference."""
        if self.account is None:
            return Statement(LedgerEntry.objects.none(), 0, 0)
        after = 0 if self.difference is None else self.difference.opening.sequence
        entries = self.account.entries.select_related("grant", "hold__usage__api_key")
        return Statement(entries, after, self.state.sequence)


def explain(account: Account | None, *, at: datetime, since: datetime | None) -> Explanation:
    """Explain ``account`` at ``at``, and what changed after ``since`` if that is given. Neither is in the future."""
    if account is None:
        return _nothing(at, since)
    difference = None if since is None else history.between(account, since, at)
    state = history.account_at(account, at) if difference is None else difference.closing
    ids = {lot.grant_id for lot in state.lots} | {entry.grant_id for entry in state.due}
    grants = Grant.objects.in_bulk(ids)
    booked = history.booked_later(account, state)
    return Explanation(
        account,
        state,
        difference,
        [ExplainedLot(lot, grants[lot.grant_id]) for lot in state.lots],
        [_due(entry, grants[entry.grant_id], booked.get((entry.grant_id, entry.kind))) for entry in state.due],
        history.holds_at(account, at, most=HOLDS_LISTED),
    )


def _nothing(at: datetime, since: datetime | None) -> Explanation:
    """What a customer has whose account was never opened."""
    empty = State(at, 0, 0, 0, [], [])
    opened = None if since is None else Difference(replace(empty, at=since), [], empty)
    return Explanation(None, empty, opened, [], [], [])


def _due(entry: Entry, grant: Grant, booked: history.Booked | None) -> Due:
    due_at = grant.effective_at if entry.kind == LedgerEntry.Kind.GRANT else grant.expires_at
    assert due_at is not None, "only a grant with an expiry falls due"
    return Due(entry, grant, due_at, booked)


def cause_of(entry: LedgerEntry) -> str:
    """
    What an entry paid for, in words: the feature and model, the version of the price, the tokens, and the ids.

    Empty if it paid for nothing. Where the details of the call have been erased, its hold is all that is left.
    """
    if entry.hold is None:
        return ""
    usage = getattr(entry.hold, "usage", None)
    if usage is None:
        return entry.hold.reference or f"hold {entry.hold_id}"
    told = [f"{usage.quantity} × {usage.feature} by {usage.model}", f"price {usage.price_id}"]
    if usage.prompt_tokens is not None or usage.completion_tokens is not None:
        told.append(f"{usage.prompt_tokens or 0} → {usage.completion_tokens or 0} tokens")
    told += [f"generation {usage.generation_id}"] if usage.generation_id else []
    told += [f"request {usage.request_id}"] if usage.request_id else []
    return ", ".join(told)
