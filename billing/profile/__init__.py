"""``/api/me``: what is kept about a person, theirs to read, change, take along and delete."""
