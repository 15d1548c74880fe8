"""What a receipt says of a call: the usage record, and how the ledger paid for it."""

from dataclasses import dataclass
from datetime import datetime

from accounts.models import ApiKey, Customer
from billing.errors import ReceiptNotFound
from billing.models import UsageRecord
from billing.usage.reports import of_mode
from credits import history
from credits.models import LedgerEntry


@dataclass(frozen=True, slots=True)
class PaidCall:
    """A call with the entries that paid for it, and where its account stood when it was booked."""

    record: UsageRecord
    entries: list[LedgerEntry]
    booked_at: datetime
    balance_after: int
    #: The digest of the account's newest entry then; empty if it had none.
    digest: str


def paid_call(customer: Customer, record_id: int, *, mode: str) -> PaidCall:
    """
    Return the call of ``customer``. A test key's caller finds what test keys used, and nothing else.

    :raises ReceiptNotFound: if there is no such call of theirs, or what was kept of it has been erased
    """
    calls = UsageRecord.objects.filter(customer=customer).select_related("hold__account")
    if mode == ApiKey.Mode.TEST:
        calls = calls.filter(of_mode("api_key", customer, mode))
    record = calls.filter(pk=record_id).first()
    if record is None:
        raise ReceiptNotFound
    entries = list(record.hold.entries.filter(kind=LedgerEntry.Kind.USAGE).order_by("sequence"))
    booked_at = entries[-1].created_at if entries else record.hold.resolved_at
    assert booked_at is not None, "the transaction that wrote the record has resolved the hold"
    newest = entries[-1] if entries else _newest_by(record, booked_at)
    if newest is None:
        return PaidCall(record, entries, booked_at, balance_after=0, digest="")
    return PaidCall(record, entries, booked_at, newest.balance_after, newest.digest)


def _newest_by(record: UsageRecord, instant: datetime) -> LedgerEntry | None:
    account = record.hold.account
    [sequence] = history.positions(account, [instant])
    return LedgerEntry.objects.filter(account=account, sequence=sequence).first()
