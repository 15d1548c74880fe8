"""``/api/admin/settings``: what features cost and what plans give, as one page of a console sets it."""
