"""The bank in the admin: everything can be looked at, nothing edited, and a balance adjusted with a reason."""

from credits.admin import accounts, movements

__all__ = ["accounts", "movements"]
