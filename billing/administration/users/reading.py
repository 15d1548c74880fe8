"""Lists of users and of accounts: what narrows and orders them, and what is shown beside each."""

from collections.abc import Collection
from typing import Any

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Lower
from rest_framework import serializers

from accounts.administration.base import FlagField
from accounts.models import ApiKey, User
from accounts.strict import PlainTextField
from billing.models import UsageDay
from billing.usage.reports import of_mode
from credits.fields import CreditsInputField
from credits.filters import Filter
from credits.models import Account, Currency

STATES = {
    "active": Q(is_active=True, personal_customer__suspended_at=None),
    "suspended": Q(is_active=True, personal_customer__suspended_at__isnull=False),
    "inactive": Q(is_active=False),
}
STATUSES = [(state, state) for state in STATES]
ORDERS = {
    "-createdAt": F("pk").desc(),
    "createdAt": F("pk").asc(),
    "name": Lower("name").asc(),
    "-name": Lower("name").desc(),
    "email": F("email").asc(nulls_last=True),
    "-email": F("email").desc(nulls_last=True),
}


class PeopleFilter(Filter):
    search = PlainTextField(
        max_length=200, required=False, help_text="A part of name or e-mail in any case, or an id of the person."
    )
    includeUsageCount = FlagField(required=False, help_text="`true` adds `_count.usageHistory`.")


class UserFilter(PeopleFilter):
    status = serializers.ChoiceField(STATUSES, required=False, help_text="In this state only.")
    sort = serializers.ChoiceField([*ORDERS], default="-createdAt", help_text="A `-` in front turns the order around.")


class AccountFilter(PeopleFilter):
    currency = serializers.ChoiceField(
        Currency.choices, default=Currency.CREDITS.value, help_text="Balances in this; credits where it is left out."
    )
    minCredits = CreditsInputField(required=False, help_text="At least so much can be spent.")
    maxCredits = CreditsInputField(required=False, help_text="At most so much can be spent.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "minCredits" in attrs and attrs["minCredits"] > attrs.get("maxCredits", attrs["minCredits"]):
            raise serializers.ValidationError({"maxCredits": ["Must not be less than `minCredits`."]}, "invalid")
        return attrs


def users_found(wanted: dict[str, Any]) -> QuerySet[User]:
    """Return the users that ``wanted`` (of a ``UserFilter``) asks for, in its order."""
    users = User.objects.select_related("personal_customer")
    if "search" in wanted:
        users = users.filter(_matching(wanted["search"]))
    if "status" in wanted:
        users = users.filter(STATES[wanted["status"]])
    return users.order_by(ORDERS[wanted["sort"]], "-pk")


def accounts_found(wanted: dict[str, Any]) -> QuerySet[Account]:
    """
    Return the accounts that ``wanted`` (of an ``AccountFilter``) asks for, those with the least first.

    What narrows and orders them is the balance as it was last booked.
    """
    accounts = Account.objects.filter(currency=wanted["currency"]).select_related("customer__user")
    accounts = accounts.annotate(spendable=F("balance") - F("held"))
    if "search" in wanted:
        text = wanted["search"]
        accounts = accounts.filter(_matching(text, "customer__user__") | Q(customer__name__icontains=text))
    if "minCredits" in wanted:
        accounts = accounts.filter(spendable__gte=wanted["minCredits"])
    if "maxCredits" in wanted:
        accounts = accounts.filter(spendable__lte=wanted["maxCredits"])
    return accounts.order_by("spendable", "pk")


def calls_of(customer_ids: Collection[int]) -> dict[int, int]:
    """How many calls each of the customers has made, tests left out. One that has made none is missing."""
    days = UsageDay.objects.filter(of_mode("key_id", None, ApiKey.Mode.LIVE.value), customer__in=customer_ids)
    return dict(days.order_by().values("customer").annotate(sum=Sum("calls")).values_list("customer", "sum"))


def _matching(text: str, prefix: str = "") -> Q:
    parts = Q(**{f"{prefix}name__icontains": text}) | Q(**{f"{prefix}email__icontains": text})
    return parts | Q(**{f"{prefix}external_id": text})
