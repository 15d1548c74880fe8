"""What every read of a customer's own data has in common: see ``accounts.reads``."""

from accounts.reads import CREDENTIAL_HEADERS, NOT_MODIFIED, SETTLING, ReadView, last_modified

__all__ = ["CREDENTIAL_HEADERS", "NOT_MODIFIED", "SETTLING", "ReadView", "last_modified"]
