"""API keys over HTTP: what they are for, how much of it, and what they used."""
