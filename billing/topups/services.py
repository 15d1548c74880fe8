"""Top-ups: USDC that a customer has paid for, put into their account once per payment."""

from datetime import datetime

from django.db.models import Q

from accounts.models import Customer
from credits import services
from credits.models import Currency, Grant


def top_up(*, customer: Customer, amount: int, reference: str, actor: str, now: datetime) -> Grant:
    """
    Put ``amount`` units of USDC into the account of ``customer``, once per ``reference``, which names the payment.

    The same payment again returns the first grant.

    :raises SourceConflict: if the payment topped up another account or another amount
    :raises ValueError: if ``amount`` is not above 0, or more than the account can hold
    """
    return services.grant(
        account=services.account_of(customer, Currency.USDC),
        amount=amount,
        category=Grant.Category.PURCHASE,
        source=f"topup:{reference}",
        actor=actor,
        now=now,
        memo="Top-up",
    )


def customer_known_as(name: str) -> Customer | None:
    """
    Return the customer whom the outside knows by ``name`` (``billing.serializers.public_id``), if there is one.

    The identity provider's ids come first; a number is a person's id of ours.
    """
    known = Customer.objects.select_related("user")
    found = known.filter(Q(user__external_id=name) | Q(external_id=name)).first()
    if found is None and name.isascii() and name.isdecimal() and len(name) <= 18:
        found = known.filter(user=int(name), user__external_id=None).first()
    return found
