"""Kept webhooks in the admin: readable, whatever was sent."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from webhooks.models import InboundEvent


@pytest.fixture
def console(db):
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ('{"a": {"b": 1}}', "{\n  &quot;a&quot;: {\n    &quot;b&quot;: 1\n  }\n}"),
        (
            '{"type": "a<b", "first_name": "<script>"}',
            "{\n  &quot;type&quot;: &quot;•••&quot;,\n  &quot;first_name&quot;: &quot;•••&quot;\n}",
        ),
        ('{"<script>": 1}', "{\n  &quot;&lt;script&gt;&quot;: 1\n}"),
        ("not JSON <script>", "•••"),
    ],
)
def test_the_body_of_an_event_is_shown_masked_indented_and_escaped(console, payload, shown):
    event = InboundEvent.objects.create(
        source="clerk", event_id="msg_1", type="user.created", payload=payload, payload_digest="0" * 64
    )
    html = console.get(reverse("admin:webhooks_inboundevent_change", args=[event.pk])).content.decode()

    assert f'<pre class="body">{shown}</pre>' in html
