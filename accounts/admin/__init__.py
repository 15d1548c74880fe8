"""People in the admin."""

from accounts.admin import audit, customers, invitations, keys, users

__all__ = ["audit", "customers", "invitations", "keys", "users"]
