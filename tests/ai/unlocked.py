"""The product without the lock that it stands on: what the proof against overspending must be able to find."""

from config.asgi import application
from credits import books

books.LOCK_ACCOUNTS = books.LOCK_ACCOUNTS.replace("{lock}", "")

__all__ = ["application"]
