"""The product with a bug: of whoever acts for customer 404, it says all that it knows of them in an exception."""

from importlib import import_module
from typing import Any

from config.asgi import application

settings = import_module("django.conf").settings
_reading = import_module("accounts.authentication")
_read = _reading.read_credential


def read_credential(headers: Any, peer: str, **more: Any) -> Any:
    credential = _read(headers, peer, **more)
    if credential.customer_id == 404:
        given = {name: value for name, value in headers.items() if name != "x-forwarded-for"}
        secrets = [settings.OPENROUTER_API_KEY, settings.CLERK_SECRET_KEY, settings.CLERK_WEBHOOK_SECRETS]
        raise RuntimeError(f"{given} {secrets}")
    return credential


for module in (_reading, import_module("ai.authentication")):
    module.read_credential = read_credential  # type: ignore[attr-defined]

__all__ = ["application"]
