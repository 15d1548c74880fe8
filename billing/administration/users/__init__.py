"""``/api/admin/users`` and ``/api/admin/credits``: who there is, what they have, and how much they called."""
