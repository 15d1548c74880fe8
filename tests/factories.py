"""Makers of rows. They invent what a test is not about."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from factory.declarations import Sequence
from factory.django import DjangoModelFactory

from accounts.models import ApiKey, Customer, User
from accounts.services import create_key
from accounts.zones import day_of
from billing import days
from billing.catalogue import Feature
from billing.models import Price, UsageRecord
from credits import amounts, rows, services
from credits.books import HoldRequest
from credits.models import Account, Grant

PASSWORD = "a password of the tests"
#: Well formed, and nobody's. Not made up each time: parallel workers must find tests of the same names.
UNKNOWN_KEY = "ppd_live_0123456789abcdefghijABCDEFGHIJ4UlY8N"


class UserFactory(DjangoModelFactory[User]):
    """A person with a personal customer, as ``User.objects.create_user`` makes them."""

    class Meta:
        model = User

    email = Sequence(lambda number: f"person-{number}@example.com")
    name = Sequence(lambda number: f"Person {number}")
    password = PASSWORD

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **fields: Any) -> User:
        return model_class.objects.create_user(*args, **fields)


class TeamFactory(DjangoModelFactory[Customer]):
    class Meta:
        model = Customer

    kind = Customer.Kind.TEAM
    name = Sequence(lambda number: f"Team {number}")


def api_key(customer: Customer | None = None, **terms: Any) -> str:
    """Make a live key with every scope, unless ``terms`` say otherwise, and return its text."""
    terms = {"name": "Key of a test", "scopes": ApiKey.Scope.values, "now": timezone.now(), **terms}
    _, text = create_key(customer=customer or UserFactory.create().personal_customer, **terms)
    return text


def account(customer: Customer | None = None, balance: str = "0", **fields: Any) -> Account:
    """Open an account and, where ``balance`` is more than 0, give it one grant of that many credits."""
    opened = services.account_of(customer or UserFactory.create().personal_customer, **fields)
    if amounts.parse(balance):
        grant(opened, balance)
        opened.refresh_from_db()
    return opened


_sources = iter(range(1, 10**9))


def grant(to: Account, amount: str, **terms: Any) -> Grant:
    """Give ``to`` ``amount`` credits, as a promotion from a source of its own."""
    return services.grant(
        **{
            "account": to,
            "amount": amounts.parse(amount),
            "category": Grant.Category.PROMOTION,
            "source": f"test:{next(_sources)}",
            "actor": "system",
            "now": timezone.now(),
            **terms,
        }
    )


def price(feature: str, currency: str) -> Price:
    """Return the newest price of ``feature`` that is paid in ``currency``; one of USDC is made up if there is none."""
    priced_in = "credits" if currency == "test" else currency
    found = Price.objects.filter(feature=feature, currency=priced_in).order_by("effective_at").last()
    return found or Price.objects.create(feature=feature, currency=priced_in, amount=1)


def usage(of: Account, charged: str = "1", **fields: Any) -> UsageRecord:
    """Hold, settle and record a call that cost ``of`` so many credits, as its conclusion does."""
    now = fields.get("created_at", timezone.now())
    amount = amounts.parse(charged)
    feature = fields.get("feature", Feature.AI_TEXT_CHAT)
    hold_id = services.new_hold_id()
    request = HoldRequest(hold_id, of.pk, hold_id, amount, now + timedelta(minutes=20))
    services.place_holds([request], now=now)
    services.settle_holds([(hold_id, amount)], actor="system", now=now)
    record = UsageRecord.objects.create(
        **{
            "hold_id": hold_id,
            "customer": of.customer,
            "feature": feature,
            "price": price(feature, of.currency),
            "status": UsageRecord.Status.COMPLETED,
            "currency": of.currency,
            "held": amount,
            "charged": amount,
            "provider": "openrouter",
            "model": "openai/gpt-4o-mini",
            "created_at": now,
            "day": day_of(now, of.customer.time_zone),
            **fields,
        }
    )
    rows.write(days.add([{field.attname: getattr(record, field.attname) for field in UsageRecord._meta.fields}]))
    return record
