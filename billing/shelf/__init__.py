"""The models that are on offer: what the provider asks for them, and what they cost here."""
