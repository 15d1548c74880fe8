"""``/api/admin/usage`` and ``/api/admin/dashboard``: what all customers call, one by one and summed up."""
