import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import svix.webhooks
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.errors import Suspended
from accounts.identities import Identity
from accounts.models import Customer, User
from accounts.principals import principal_of_person
from accounts.provisioning import provision_user
from credits.services import account_of
from tests import factories
from tests.webhooks.conformance import EVENT_ID, SECRET, TYPE, SourceConformance, at_once
from webhooks import services
from webhooks.errors import WebhookNotHandled
from webhooks.models import InboundEvent
from webhooks.sources import SOURCES
from webhooks.sources.base import Payload

USER_ID = "user_29w83sxmDNGwOuEthce5gg56FcC"
#: 2026-01-01, in milliseconds, as Clerk counts.
EPOCH = 1_767_225_600_000

#: Of Svix's own tests.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR = {
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": "1614265330",
    "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
FORGED_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA="
OTHER_SIGNATURE = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="


class TestClerk(SourceConformance):
    source = SOURCES["clerk"]

    def sign(self, body: bytes, *, at: datetime, secret: str = SECRET, event_id: str = EVENT_ID) -> dict[str, str]:
        seconds = str(int(at.timestamp()))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{event_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"svix-id": event_id, "svix-timestamp": seconds, "svix-signature": signature}

    def body(self, type: str = TYPE, event_id: str = EVENT_ID, **more: Any) -> bytes:
        return json.dumps({"object": "event", "type": type, "data": {}, "timestamp": EPOCH} | more).encode()

    def malformed(self, headers: dict[str, str]) -> list[dict[str, str]]:
        signature = headers["svix-signature"]
        encoded = signature.removeprefix("v1,")
        signatures = [
            "v1", "garbage", "v1,a,b", "v1,abc", "v1,", ",", " ", f" {signature}", f"{signature} ", f"{signature},",
            f"{signature}\n", "v1,é", f"v2,{encoded}", f"v1a,{encoded}", f"V1,{encoded}", encoded,
            f"{signature}  v1,aa", " ".join([f"v1,{OTHER_SIGNATURE}"] * 16 + [signature]),
            f"{signature} v1,{'a' * 201}",
        ]  # fmt: skip
        seconds = headers["svix-timestamp"]
        timestamps = [
            f" {seconds}",
            f"{seconds}\n",
            f"{seconds[:5]}_{seconds[5:]}",
            f"{seconds}.0",
            f"0{seconds}",
            "nan",
        ]
        ids = ["msg.1", "msg 1", "a" * 256, "mśg", f"{EVENT_ID}\n"]
        return [
            *({**headers, "svix-signature": text} for text in signatures),
            *({**headers, "svix-timestamp": text} for text in timestamps),
            *({**headers, "svix-id": text.encode().decode("latin-1")} for text in ids),
            {("webhook-id" if name == "svix-id" else name): value for name, value in headers.items()},
        ]

    def test_headers_without_the_senders_brand_are_good_too(self, now: datetime):
        body = self.body()
        headers = {name.replace("svix", "webhook"): value for name, value in self.sign(body, at=now).items()}

        assert self.post(body, headers).status_code == 200


class TestPublishedVectors:
    @pytest.fixture(autouse=True)
    def _configured(self, settings: Any) -> None:
        settings.CLERK_WEBHOOK_SECRETS = [VECTOR_SECRET]

    @pytest.mark.parametrize("family", ["svix", "webhook"])
    @pytest.mark.parametrize(
        ("signature", "good"),
        [
            (VECTOR["signature"], True),
            (FORGED_SIGNATURE, False),
            (f"v1,{OTHER_SIGNATURE} v2,{OTHER_SIGNATURE} {VECTOR['signature']}", True),
            (VECTOR["signature"].replace("v1", "v2"), False),
        ],
    )
    def test_signature_of_the_vector(self, family: str, signature: str, good: bool):
        headers = {f"{family}-{part}": text for part, text in (VECTOR | {"signature": signature}).items()}

        claim = SOURCES["clerk"].read_signature(headers)

        assert SOURCES["clerk"].is_signed(VECTOR_BODY, claim, VECTOR_SECRET) is good

    def test_what_svix_itself_signs_is_recognised(self):
        body = '{"type": "user.created", "name": "naïve ☕"}'
        sent_at = datetime.fromtimestamp(1614265330, UTC)
        signature = svix.webhooks.Webhook(VECTOR_SECRET).sign("msg_1", sent_at, body)
        headers = {"svix-id": "msg_1", "svix-timestamp": "1614265330", "svix-signature": signature}

        event = SOURCES["clerk"].verify(body.encode(), headers, now=sent_at + timedelta(minutes=4))

        assert (event.id, event.type) == ("msg_1", "user.created")


_ids = itertools.count(1)


def tell(type: str, data: Payload, now: datetime, **envelope: Any) -> str:
    """Keep and handle a Clerk event, as a delivery with a good signature does."""
    payload = {"object": "event", "type": type, "data": data} | envelope
    return services.handle(kept(payload), now=now)


def kept(payload: Payload) -> InboundEvent:
    body = json.dumps(payload)
    return InboundEvent.objects.create(
        source="clerk",
        event_id=f"msg_{next(_ids)}",
        type=payload["type"],
        payload=body,
        payload_digest=hashlib.sha256(body.encode()).hexdigest(),
    )


def address(**changes: Any) -> Payload:
    verified = {"status": "verified", "strategy": "email_code"}
    return {"id": "idn_1", "email_address": "ada@example.com", "verification": verified} | changes


def user_data(email: str = "ada@example.com", at: int = 0, **more: Any) -> Payload:
    return {
        "object": "user",
        "id": USER_ID,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "primary_email_address_id": "idn_1",
        "email_addresses": [
            address(id="idn_0", email_address="other@example.com"),
            address(email_address=email),
        ],
        "updated_at": EPOCH + at,
        "created_at": EPOCH,
    } | more


def seen(user_id: str = USER_ID) -> tuple[Any, ...]:
    user = User.objects.get(external_id=user_id)
    customers = Customer.objects.filter(user=user)
    return user.email, user.name, user.is_active, customers[0].name, customers.count()


def forgotten(user_id: str = USER_ID) -> tuple[Any, ...]:
    """What is seen of a deleted user."""
    return None, "", False, f"deleted {Customer.objects.get(user__external_id=user_id).pk}", 1


@pytest.mark.django_db
class TestUsers:
    def test_created_user_appears_with_their_customer(self, now: datetime):
        tell("user.created", user_data(email="Ada@Example.com"), now)

        assert seen() == ("ada@example.com", "Ada Lovelace", True, "Ada Lovelace", 1)

    def test_user_who_came_with_a_token_first_is_the_same_user(self, now: datetime):
        user = provision_user(USER_ID)

        tell("user.created", user_data(), now)

        assert User.objects.get(external_id=USER_ID).pk == user.pk
        assert seen() == ("ada@example.com", "Ada Lovelace", True, "Ada Lovelace", 1)

    @pytest.mark.django_db(transaction=True)
    def test_news_about_a_new_user_that_comes_all_at_once_makes_one_user(self, now: datetime):
        def telling(at: int) -> Callable[[], str]:
            return lambda: tell("user.updated", user_data(first_name=f"Ada {at}", at=at), now)

        at_once([telling(at) for at in range(8)])

        assert seen() == ("ada@example.com", "Ada 7 Lovelace", True, "Ada 7 Lovelace", 1)

    def test_older_news_does_not_replace_newer(self, now: datetime):
        tell("user.updated", user_data(first_name="Augusta", at=2), now)
        tell("user.updated", user_data(first_name="Ada", at=1), now)
        tell("user.created", user_data(first_name="Ada"), now)

        assert seen()[1] == "Augusta Lovelace"

    @pytest.mark.parametrize(
        "changes",
        [
            {"primary_email_address_id": "idn_gone"},
            {"primary_email_address_id": None},
            {"email_addresses": []},
            {"email_addresses": None},
            {"email_addresses": ["ada@example.com", None, {}, {"id": "idn_1"}]},
            {"email_addresses": [address(verification=None)]},
            {"email_addresses": [address(verification={"status": "unverified"})]},
            {"email_addresses": [address(email_address="no address")]},
            {"email_addresses": [address(email_address=7)]},
        ],
    )
    def test_without_a_verified_primary_address_there_is_none(self, changes: Payload, now: datetime):
        tell("user.created", user_data(), now)
        tell("user.updated", user_data(at=1, **changes), now)

        assert seen() == (None, "Ada Lovelace", True, "Ada Lovelace", 1)

    def test_address_of_another_user_stays_theirs(self, now: datetime):
        admin = factories.UserFactory.create(email="ada@example.com", is_staff=True)

        tell("user.created", user_data(email="ADA@example.com"), now)

        admin.refresh_from_db()
        assert (admin.email, admin.external_id) == ("ada@example.com", None)
        assert seen() == (None, "Ada Lovelace", True, "Ada Lovelace", 1)

    @pytest.mark.parametrize(
        ("names", "name"),
        [
            ({"first_name": None, "last_name": None}, ""),
            ({"first_name": " Ada\u202e ", "last_name": "\n"}, "Ada"),
            ({"first_name": "A" * 300, "last_name": None}, "A" * 200),
            ({"first_name": 7, "last_name": {}}, ""),
        ],
    )
    def test_name_is_what_can_be_shown(self, names: Payload, name: str, now: datetime):
        tell("user.created", user_data(**names), now)

        assert seen() == ("ada@example.com", name, True, name or "ada@example.com", 1)

    def test_deleted_user_is_deactivated_and_nameless_and_keeps_their_books(self, now: datetime):
        tell("user.created", user_data(), now)
        customer = Customer.objects.get(user__external_id=USER_ID)
        account = factories.account(customer, "100")

        tell("user.deleted", {"object": "user", "id": USER_ID, "deleted": True}, now)

        user = User.objects.get(external_id=USER_ID)
        assert seen() == forgotten()
        assert (user.deleted_at, user.has_usable_password()) == (now, False)
        assert account_of(customer) == account
        assert account.entries.count() == 1

    def test_deleted_user_does_not_come_back(self, now: datetime):
        tell("user.deleted", {"id": USER_ID, "deleted": True}, now)
        tell("user.created", user_data(), now)
        tell("user.updated", user_data(at=5), now)
        with pytest.raises(Suspended):
            principal_of_person(Identity(USER_ID))

        assert seen() == forgotten()

    def test_suspended_user_stays_so_when_their_profile_changes(self, now: datetime):
        tell("user.created", user_data(), now)
        User.objects.filter(external_id=USER_ID).update(is_active=False)

        tell("user.updated", user_data(first_name="Augusta", at=1), now)

        assert seen()[1:3] == ("Augusta Lovelace", False)

    def test_metadata_moves_no_credits(self, now: datetime):
        tell("user.created", user_data(), now)
        account = factories.account(Customer.objects.get(user__external_id=USER_ID), "100")

        metadata = {"creditsRemaining": 5000, "subscriptionPlan": "enterprise"}
        tell("user.updated", user_data(at=1, public_metadata=metadata), now)

        account.refresh_from_db()
        assert account.entries.count() == 1

    def test_instants_in_seconds_and_of_the_envelope_are_understood(self, now: datetime):
        tell("user.updated", user_data(first_name="Second", updated_at=EPOCH // 1000 + 2), now)
        tell("user.updated", user_data(first_name="First", updated_at=EPOCH + 1000), now)
        tell("user.updated", user_data(first_name="Third", updated_at=None), now, timestamp=EPOCH // 1000 + 3)

        assert seen()[1] == "Third Lovelace"

    @pytest.mark.parametrize(
        ("type", "data"),
        [
            ("user.created", None),
            ("user.created", user_data(id="cpayer_29w83sxmDNGwOuEthce5gg56FcC")),
            ("user.created", user_data(id=None)),
            ("user.created", user_data(updated_at="yesterday")),
            ("user.created", user_data(updated_at=True)),
            ("user.created", user_data(updated_at=10**20)),
            ("user.deleted", {"deleted": True}),
        ],
    )
    def test_event_that_cannot_be_understood_fails_and_makes_nobody(self, type: str, data: Any, now: datetime):
        with pytest.raises(WebhookNotHandled):
            tell(type, data, now)

        assert (User.objects.count(), InboundEvent.objects.get().status) == (0, InboundEvent.Status.FAILED)

    @given(
        history=st.lists(
            st.sampled_from([("created", 0), ("updated", 1), ("updated", 2), ("updated", 3)]), min_size=4, max_size=12
        ).filter(lambda history: len(set(history)) == 4),
        deleted=st.booleans(),
        data=st.data(),
    )
    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    def test_any_order_and_repetition_ends_the_same(
        self, history: list[tuple[str, int]], deleted: bool, data: st.DataObject, now: datetime
    ):
        user_id = f"user_{next(_ids):020}"
        events = [
            ("user." + kind, user_data(f"{user_id}.{at}@example.com", first_name=f"Ada {at}", id=user_id, at=at))
            for kind, at in history
        ]
        if deleted:
            events.insert(data.draw(st.integers(0, len(events))), ("user.deleted", {"id": user_id, "deleted": True}))

        for type, told in events:
            tell(type, told, now)

        newest = (f"{user_id}.3@example.com", "Ada 3 Lovelace", True, "Ada 3 Lovelace", 1)
        assert seen(user_id) == (forgotten(user_id) if deleted else newest)
