"""Test credits: given for nothing, in an account of their own, and spent by test keys on the simulator alone."""

from datetime import datetime

from accounts.models import Customer
from credits import services
from credits.amounts import credits
from credits.models import Currency, Grant

FIRST = credits(1000)


def give_first_test_credits(customer: Customer, *, actor: str, now: datetime) -> None:
    """Give ``customer`` what the first tests need, once, however many test keys there will be."""
    give_test_credits(customer, FIRST, source="first", actor=actor, now=now)


def give_test_credits(customer: Customer, amount: int, *, source: str, actor: str, now: datetime) -> Grant:
    """Give ``amount`` units, once per ``source``."""
    return services.grant(
        account=services.account_of(customer, Currency.TEST),
        amount=amount,
        category=Grant.Category.PROMOTION,
        source=f"test-credits:{customer.pk}:{source}",
        actor=actor,
        now=now,
        memo="Test credits",
    )
