"""What every route under ``/api/admin/`` has in common."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import User
from accounts.permissions import IsAdministrator, principal_of
from accounts.reads import ReadView

FLAGS = ("true", "false")


class AdministrationView(ReadView):
    """For administrators alone, in person: whatever they change is written down under their name."""

    permission_classes = (IsAdministrator,)

    def administrator(self) -> User:
        user = principal_of(self.request).user
        assert user is not None, "no permission lets anybody else in"
        return user

    def actor(self) -> str:
        return principal_of(self.request).actor


@extend_schema_field({"type": "string", "enum": FLAGS})
class FlagField(serializers.Field[bool, str, str, str]):
    """A query parameter that is ``true`` or ``false``, and nothing that only looks like it."""

    default_error_messages = {"invalid": "Write true or false."}

    def to_internal_value(self, data: str) -> bool:
        if data not in FLAGS:
            self.fail("invalid")
        return data == "true"

    def to_representation(self, value: bool) -> str:
        return "true" if value else "false"
