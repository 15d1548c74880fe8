"""The product without the lock that it stands on: what the proof against overspending must be able to find."""

from config.asgi import application
from credits import tables

tables.LOCK_ACCOUNTS = tables.LOCK_ACCOUNTS.replace("{lock}", "")

__all__ = ["application"]
