"""``/api/keys/leaked``: where keys that were found in public are reported."""
