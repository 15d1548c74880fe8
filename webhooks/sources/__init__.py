"""Who may send us webhooks."""

from webhooks.sources.base import Source
from webhooks.sources.clerk import Clerk
from webhooks.sources.stripe import Stripe

SOURCES: dict[str, Source] = {
    Clerk.name: Clerk(),
    Stripe.name: Stripe(),
}
