"""Users and their balances as administrators read them, in the words of the first clients."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.administration.serializers import CustomerStateSerializer
from accounts.models import User
from billing.administration.users.reading import calls_of
from credits.administration.adjustments.reading import Line
from credits.administration.adjustments.serializers import AccountSerializer
from credits.fields import InstantField
from credits.serializers import BalanceSerializer


class UsageCountSerializer(serializers.Serializer[Any]):
    usageHistory = serializers.IntegerField(read_only=True, help_text="Calls, without those of test keys.")


class Counted(serializers.Serializer[Any]):
    """The context has ``calls``, by the customers' ids, if they are to be shown."""

    def get_fields(self) -> dict[str, Any]:
        count = serializers.SerializerMethodField(
            method_name="count", required=False, help_text="With `includeUsageCount=true`."
        )
        return super().get_fields() | ({"_count": count} if self.context.get("calls", {}) is not None else {})

    def customer_id(self, row: Any) -> int:
        raise NotImplementedError

    @extend_schema_field(UsageCountSerializer)
    def count(self, row: Any) -> dict[str, int]:
        return {"usageHistory": self.context["calls"].get(self.customer_id(row), 0)}


class PersonSerializer(serializers.Serializer[User]):
    """A user. Inactive ones can do nothing; of a deleted one only the ids are left."""

    id = serializers.IntegerField(read_only=True)
    clerkId = serializers.CharField(
        source="external_id", read_only=True, allow_null=True, help_text="The identity provider's."
    )
    email = serializers.CharField(read_only=True, allow_null=True)
    name = serializers.CharField(read_only=True)
    isActive = serializers.BooleanField(source="is_active", read_only=True)
    isStaff = serializers.BooleanField(source="is_staff", read_only=True)
    customer = CustomerStateSerializer(source="personal_customer", read_only=True, help_text="Who pays for them.")
    createdAt = InstantField(source="created_at", read_only=True)
    updatedAt = InstantField(source="updated_at", read_only=True)
    deletedAt = InstantField(source="deleted_at", read_only=True, allow_null=True)


class ListedUserSerializer(Counted, PersonSerializer):
    """A user with the balance of their own customer."""

    # The context has ``balances``, by the customers' ids.
    creditBalance = serializers.SerializerMethodField(help_text="Null: they were never given anything.")

    @extend_schema_field(BalanceSerializer(allow_null=True))
    def get_creditBalance(self, user: User) -> dict[str, Any] | None:
        balance = self.context["balances"].get(self.customer_id(user))
        return None if balance is None else dict(BalanceSerializer(balance).data)

    def customer_id(self, user: User) -> int:
        return user.personal_customer.pk


class NamedUserSerializer(serializers.Serializer[User]):
    id = serializers.IntegerField(read_only=True)
    clerkId = serializers.CharField(source="external_id", read_only=True, allow_null=True)
    name = serializers.CharField(read_only=True)
    email = serializers.CharField(read_only=True, allow_null=True)
    isActive = serializers.BooleanField(source="is_active", read_only=True)


class ListedAccountSerializer(Counted, AccountSerializer):
    """A balance and whose it is."""

    user = NamedUserSerializer(
        source="account.customer.user", read_only=True, allow_null=True, help_text="Null: it is a team's."
    )

    def customer_id(self, line: Line) -> int:
        return line.account.customer_id


def usage_counts(customer_ids: list[int], *, wanted: bool) -> dict[int, int] | None:
    """What the context's ``calls`` are."""
    return calls_of(customer_ids) if wanted else None
