"""
A simulated OpenRouter, for demonstrations and tests: it answers, streams, counts and
keeps books, and fails in every way that a provider fails, on demand.

``create_app()`` is an ASGI application, ``manage.py simulate_provider`` serves it.
What it booked is what must have been charged for: ``GET /_simulator/books``. The faults
and their grammar are in ``faults``. It calls nothing and needs any key.
"""

from ai.providers.simulator.app import create_app

__all__ = ["create_app"]
