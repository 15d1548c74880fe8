"""What narrows a statement, and what an explanation is asked for."""

from typing import Any

from rest_framework import serializers

from accounts.pagination import LAST_ID
from credits.fields import InstantField
from credits.filters import CurrencyFilter, Period
from credits.models import LedgerEntry


class StatementFilter(Period):
    kind = serializers.ChoiceField(LedgerEntry.Kind.choices, required=False, help_text="Entries of this kind only.")
    feature = serializers.CharField(
        max_length=50, required=False, help_text="What paid for this feature, such as `ai_text_chat`, in any case."
    )
    key = serializers.IntegerField(
        min_value=1, max_value=LAST_ID, required=False, help_text="What a call with the API key of this id cost."
    )
    search = serializers.CharField(
        min_length=2,
        max_length=255,
        required=False,
        help_text="A reference or generation id exactly, however old; else text that reference, memo or id contain.",
    )

    def validate_feature(self, feature: str) -> str:
        return feature.lower()


class TransactionFilter(CurrencyFilter, StatementFilter):
    pass


class ExplanationFilter(CurrencyFilter):
    """``at``, and ``from``, for which Python has another use, hence ``get_fields``."""

    at = InstantField(required=False, help_text="The balance at this instant; where it is left out, now.")

    def get_fields(self) -> dict[str, Any]:
        help_text = "Also what changed after this instant; the entries are then those from here to `at`."
        return super().get_fields() | {"from": InstantField(required=False, help_text=help_text)}
