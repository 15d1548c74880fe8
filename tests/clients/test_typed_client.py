"""
A front end whose client is generated from ``/api/schema``, by hey-api with its plugin for TanStack Query.

It compiles under ``tsc --strict``, and its people do with it all that people do. What they read has types, so that
a field which the document does not promise, or promises wrongly, is an error of the compiler.
"""

import pytest

from tests.accounts import tokens
from tests.accounts.people import person
from tests.ai.prepaid import MODEL
from tests.clients.node import FrontEnd
from tests.walls.world import LATER, switch_sign_in_on

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

ANSWER = (
    "You asked: “What is a ledger?” "
    "This is the simulated model: it thinks of nothing, but it streams, counts and charges like a real one."
)
ADDRESS = "bob@example.com"


def token(user):
    return tokens.service_token(sub=user.external_id, exp=LATER)


@pytest.fixture
def journey(settings, prepaid_url, tmp_path):
    """What the people of ``journey.ts`` saw: who founds a team, who joins it, and who runs the installation."""
    switch_sign_in_on(settings)
    ada, bob, boss = person(name="Ada"), person(name="Bob", email=ADDRESS), person(is_staff=True)
    front_end = FrontEnd(tmp_path)
    front_end.build(f"{prepaid_url}/api/schema")
    return front_end.journey(
        PREPAID_URL=prepaid_url, MODEL=MODEL, ADA=token(ada), BOB=token(bob), BOBS_ADDRESS=ADDRESS, BOSS=token(boss)
    )


def test_whole_journey_with_a_generated_client(journey):
    assert journey["gathered"] == {
        "name": "Ada",
        "customers": [["PERSONAL", "Ada", "OWNER"], ["TEAM", "Analysts", "OWNER"]],
        "invited": ["open", "MEMBER"],
        "joined": ["Analysts", "MEMBER"],
        "promoted": "ADMIN",
    }
    assert journey["administered"] == {
        "isAdmin": True,
        "given": ["100", "PROMOTION", True],
        "other": [422, "IDEMPOTENCY_KEY_REUSED", None, None],
        "adjusted": ["-10", "90", 0],
        "found": [ADDRESS],
        "counts": [None],
    }
    assert journey["called"] == {
        "key": [True, True, None, "MONTH", None],
        "answer": [ANSWER, 25],
        "streamed": [ANSWER, 1, 88],
        "images": [2, 10],
        "models": True,
    }
    assert journey["read"] == {
        "balance": [78, "78", "0"],
        "usage": [
            ["AI_IMAGE_GENERATION", 10, "COMPLETED", "Laptop"],
            ["AI_TEXT_CHAT", 1, "COMPLETED", "Laptop"],
            ["AI_TEXT_CHAT", 1, "COMPLETED", "Laptop"],
        ],
        "total": 3,
        "summary": [["ai_image_generation", 1, "10"], ["ai_text_chat", 2, "2"]],
        "ofTheKey": "12",
        "grants": [["100", "78"]],
        "pages": [2, 2, 1],
        "statement": [
            ["USAGE", "-10", "78"],
            ["USAGE", "-1", "88"],
            ["USAGE", "-1", "89"],
            ["ADJUSTMENT", "-10", "90"],
            ["GRANT", "100", "100"],
        ],
        "why": ["78", ["78"], [["GRANT", "100"], ["USAGE", "-12"], ["ADJUSTMENT", "-10"]]],
        "sheet": 4,
        "page": (
            "<main><p>78 credits</p><p>3 calls</p><ul><li>-10</li><li>-1</li></ul>"
            "<button>More</button><button>New key</button></main>"
        ),
    }
    assert journey["held"] == {
        "placed": ["PENDING", "5"],
        "settled": ["SETTLED", "1.5"],
        "tooMuch": [402, "INSUFFICIENT_CREDITS", 5000, "76.5"],
    }
    assert journey["kept"] == {
        "renamed": ["Desktop", None, "analysts"],
        "rotated": [True, "revoked", True],
        "keys": [["Desktop", "revoked"], ["Desktop", "revoked"]],
        "revoked": [401, "invalid_api_key", None, None],
    }
    assert journey["refusals"] == {
        "wrong": [400, "VALIDATION_ERROR", None, None],
        "fields": [["body.name", "BLANK"], ["body.timeZone", "INVALID_CHOICE"]],
        "missing": [404, "API_KEY_NOT_FOUND", None, None],
        "tooDear": [402, "insufficient_credits", 1, 0],
    }
    assert journey["left"] == {
        "kept": [ADDRESS, [["Bob", "OWNER"], ["Analysts", "ADMIN"]], ["Without a credit"], 0],
        "left": 204,
        "gone": 403,
    }
    assert journey["looked"] == {
        "calls": [
            ["AI_IMAGE_GENERATION", "Analysts", "0"],
            ["AI_TEXT_CHAT", "Analysts", "0"],
            ["AI_TEXT_CHAT", "Analysts", "0"],
        ],
        "users": 3,
        "usage": [["credits", 3, "12"]],
    }
