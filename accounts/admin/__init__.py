"""People in the admin."""

from accounts.admin import customers, keys, users

__all__ = ["customers", "keys", "users"]
