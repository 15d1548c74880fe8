"""What a proof finds."""

from dataclasses import dataclass
from typing import Any

from credits.models import Account, LedgerEntry

ENTRIES_A_READ = 2000


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be, and by how much."""

    subject: str
    rule: str
    kept: str
    proved: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.rule} is {self.kept}, but {self.proved} is proved"


def subject_of(row: Any) -> str:
    """What an operator looks for: the row, and the account it is of."""
    name = f"{row._meta.verbose_name} {row.pk}"
    return name if isinstance(row, Account) else f"{name} of account {row.account_id}"


def name_of_entry(entry: LedgerEntry) -> str:
    """An entry goes by its number in its account."""
    return f"ledger entry {entry.sequence} of account {entry.account_id}"
