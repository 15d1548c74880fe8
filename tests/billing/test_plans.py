"""Plans and settings: a catalogue that everybody reads and administrators change."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from billing.models import Plan, Price
from credits.amounts import credits
from tests.administration import fields_of, queries, refusals

pytestmark = pytest.mark.django_db

PLANS, SETTINGS, PUBLIC = "/api/admin/plans", "/api/admin/settings", "/api/public/plans"
PRO: dict[str, Any] = {
    "name": "Pro",
    "clerkId": "cplan_pro",
    "credits": 500,
    "currency": "USD",
    "priceMonthlyCents": 2900,
    "priceYearlyCents": "290,50",
    "features": [{"name": "Chat"}, {"name": "Images", "description": "of any size", "included": False}],
    "highlight": True,
    "ctaUrl": "/checkout/pro",
    "sortOrder": 2,
}


@pytest.fixture
def pro() -> Plan:
    return Plan.objects.create(name="Pro", slug="pro", clerk_id="cplan_pro", credits=credits(500))


def test_others_are_refused(administrator: APIClient, api: APIClient, pro: Plan) -> None:
    asked = [
        ("GET", PLANS, None), ("POST", PLANS, PRO), ("PUT", f"{PLANS}/{pro.pk}", {"name": "Mine"}),
        ("DELETE", f"{PLANS}/{pro.pk}", None), ("GET", SETTINGS, None), ("PUT", SETTINGS, {}),
    ]  # fmt: skip
    assert {(method, *refusals((method, path, body), api=api)) for method, path, body in asked} == {
        (method, 401, 403, 403) for method in ("GET", "POST", "PUT", "DELETE")
    }
    assert list(Plan.objects.values_list("name", flat=True)) == ["Pro"]


def test_a_plan_is_added_and_everybody_sees_it(administrator: APIClient) -> None:
    response = administrator.post(PLANS, PRO)

    plan = response.json()["plan"]
    assert response.status_code == 201
    assert (plan["slug"], plan["credits"], plan["currency"]) == ("pro", 500, "usd")
    assert (plan["priceMonthlyCents"], plan["priceYearlyCents"]) == (2900, 29050)
    assert plan["features"] == [
        {"name": "Chat", "description": "", "included": True},
        {"name": "Images", "description": "of any size", "included": False},
    ]
    [shown] = APIClient().get(PUBLIC).json()["plans"]
    assert shown == {name: plan[name] for name in shown}
    assert set(plan) - set(shown) == {"clerkName", "active", "sortOrder", "createdAt", "updatedAt"}
    assert administrator.get(PLANS).json() == {"plans": [plan]}
    assert APIClient().get("/api/credits/settings").json()["planCredits"] == {"cplan_pro": 500}
    entry = AuditEntry.objects.get(action="plan.created")
    assert (entry.customer, entry.subject) == (None, f"plan:{plan['id']}")


def test_what_is_offered_is_in_the_operators_order(administrator: APIClient) -> None:
    for name, said, value in (
        ("c", "sortOrder", 2),
        ("b", "credits", 9),
        ("a", "active", True),
        ("hidden", "active", False),
    ):
        administrator.post(PLANS, {"name": name, "clerkId": f"plan_{name}", said: value})

    assert [plan["name"] for plan in APIClient().get(PUBLIC).json()["plans"]] == ["a", "b", "c"]
    assert [plan["name"] for plan in administrator.get(PLANS).json()["plans"]] == ["a", "hidden", "b", "c"]


def test_a_plan_that_is_sold_by_hand_is_asked_for(administrator: APIClient) -> None:
    body = {"name": "Enterprise", "billingSource": "manual", "ctaType": "checkout", "credits": "0.5"}

    plan = administrator.post(PLANS, body).json()["plan"]

    assert (plan["clerkId"], plan["ctaType"], plan["credits"]) == (None, "contact", "0.5")
    assert administrator.put(f"{PLANS}/{plan['id']}", {"ctaType": "checkout"}).json()["plan"]["ctaType"] == "contact"
    refused = administrator.put(f"{PLANS}/{plan['id']}", {"billingSource": "clerk"})
    assert fields_of(refused) == ["body.newClerkId"]


def test_plans_of_one_name_have_slugs_of_their_own(administrator: APIClient) -> None:
    names = ["Pro!", "pro", "PRO", "日本"]

    made = [administrator.post(PLANS, {"name": name, "billingSource": "manual"}).json()["plan"] for name in names]

    assert [plan["slug"] for plan in made] == ["pro", "pro-2", "pro-3", "plan"]


@pytest.mark.parametrize("name", ["pk", "clerk_id"])
def test_a_plan_is_changed_by_either_id(administrator: APIClient, pro: Plan, name: str) -> None:
    url = f"{PLANS}/{getattr(pro, name)}"

    plan = administrator.put(url, {"priceMonthlyCents": "49.90", "active": False}).json()["plan"]

    assert (plan["priceMonthlyCents"], plan["active"], plan["credits"], plan["name"]) == (4990, False, 500, "Pro")
    assert APIClient().get(PUBLIC).json() == {"plans": []}
    assert APIClient().get("/api/credits/settings").json()["planCredits"] == {}
    assert AuditEntry.objects.get(action="plan.changed").details == {"fields": ["is_active", "price_monthly_cents"]}
    assert administrator.put(url, {"active": False}).status_code == 200
    assert AuditEntry.objects.filter(action="plan.changed").count() == 1


def test_a_plan_gets_another_id_at_clerk_and_the_body_may_name_it(administrator: APIClient, pro: Plan) -> None:
    renamed = administrator.put(f"{PLANS}/cplan_pro", {"newClerkId": "cplan_pro2"}).json()["plan"]
    named = administrator.put(f"{PLANS}/whatever", {"planId": "cplan_pro2", "badge": "New"}).json()["plan"]
    numbered = administrator.put(f"{PLANS}/whatever", {"planId": pro.pk, "badge": ""}).json()["plan"]

    assert (renamed["clerkId"], named["badge"], numbered["badge"]) == ("cplan_pro2", "New", "")


def test_ids_and_slugs_are_one_plans(administrator: APIClient, pro: Plan) -> None:
    other = Plan.objects.create(name="Basic", slug="basic", clerk_id="cplan_basic")

    answers = [
        administrator.post(PLANS, {"name": "Again", "clerkId": "cplan_pro"}),
        administrator.post(PLANS, {"name": "Again", "clerkId": "cplan_new", "slug": "pro"}),
        administrator.put(f"{PLANS}/{other.pk}", {"newClerkId": "cplan_pro"}),
        administrator.put(f"{PLANS}/{other.pk}", {"slug": "pro"}),
    ]

    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(409, "plan_exists")}
    assert Plan.objects.count() == 2


def test_a_plan_is_removed(administrator: APIClient, pro: Plan) -> None:
    assert administrator.delete(f"{PLANS}/cplan_pro").json() == {"ok": True}

    gone = [administrator.delete(f"{PLANS}/{id_}") for id_ in ("cplan_pro", pro.pk, "0", "9" * 40, "a%00b")]
    assert {(answer.status_code, answer.json()["error"]) for answer in gone} == {(404, "plan_not_found")}
    assert AuditEntry.objects.get(action="plan.deleted").details == {"slug": "pro"}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "body.name"),
    ({"name": 7}, "body.name"),
    ({"name": "x" * 201}, "body.name"),
    ({"clerkId": "price_1"}, "body.clerkId"),
    ({"clerkId": None}, "body.clerkId"),
    ({"slug": "No Slug"}, "body.slug"),
    ({"credits": -1}, "body.credits"),
    ({"credits": 1.5}, "body.credits"),
    ({"credits": 10**20}, "body.credits"),
    ({"active": "true"}, "body.active"),
    ({"active": 1}, "body.active"),
    ({"sortOrder": -1}, "body.sortOrder"),
    ({"sortOrder": 10**20}, "body.sortOrder"),
    ({"currency": "dollar"}, "body.currency"),
    ({"priceMonthlyCents": -1}, "body.priceMonthlyCents"),
    ({"priceMonthlyCents": 49.9}, "body.priceMonthlyCents"),
    ({"priceMonthlyCents": "49.999"}, "body.priceMonthlyCents"),
    ({"priceMonthlyCents": 10**20}, "body.priceMonthlyCents"),
    ({"features": "all"}, "body.features"),
    ({"features": [{"name": "Chat", "included": "yes"}]}, "body.features[0].included"),
    ({"features": [{"name": "Chat"}] * 51}, "body.features"),
    ({"ctaType": "buy"}, "body.ctaType"),
    ({"ctaUrl": "javascript:alert(1)"}, "body.ctaUrl"),
    ({"billingSource": "stripe"}, "body.billingSource"),
    ({"surprise": 1}, "body"),
]


def test_a_wrong_field_of_a_plan_is_named(administrator: APIClient, pro: Plan) -> None:
    named = [(field, fields_of(administrator.post(PLANS, {**PRO, **body}))) for body, field in WRONG]
    changed = [
        (field, fields_of(administrator.put(f"{PLANS}/{pro.pk}", body)))
        for body, field in WRONG
        if "clerkId" not in body
    ]

    assert [wrong for wrong in [*named, *changed] if wrong[1] != [wrong[0]]] == []
    assert fields_of(administrator.post(PLANS, {"clerkId": "cplan_x"})) == ["body.name"]
    assert administrator.post(PLANS, []).status_code == 400
    assert administrator.put(f"{PLANS}/{pro.pk}", []).status_code == 400
    assert Plan.objects.count() == 1


def test_lists_of_plans_take_as_many_queries_for_many_as_for_one(administrator: APIClient, pro: Plan) -> None:
    reads = [lambda: administrator.get(PLANS), lambda: APIClient().get(PUBLIC), lambda: administrator.get(SETTINGS)]
    few = [queries(read) for read in reads]

    for number in range(5):
        Plan.objects.create(name="More", slug=f"more-{number}", clerk_id=f"cplan_{number}")

    assert [queries(read) for read in reads] == few


# Settings


def test_a_cost_is_a_new_price_and_the_others_stay(administrator: APIClient) -> None:
    before = administrator.get(SETTINGS).json()["featureCosts"]

    after = administrator.put(SETTINGS, {"featureCosts": {"ai_text_chat": "2.5"}}).json()["featureCosts"]
    again = administrator.put(SETTINGS, {"featureCosts": {"ai_text_chat": "2.5"}})

    assert (before, after) == ({"ai_text_chat": 1, "ai_image_generation": 5}, {**before, "ai_text_chat": "2.5"})
    assert again.status_code == 200
    assert APIClient().get("/api/credits/settings").json()["featureCosts"] == after
    boss = User.objects.get(external_id="user_boss")
    newest = Price.objects.filter(feature="ai_text_chat")
    assert [(price.amount, price.actor) for price in newest] == [
        (25_000_000, f"user:{boss.pk}"), (credits(1), "system"),
    ]  # fmt: skip
    details = AuditEntry.objects.get(action="price.published").details
    assert (details["feature"], details["type"], details["amount"]) == ("ai_text_chat", "FIXED", 25_000_000)
    assert (
        administrator.put(SETTINGS, {"featureCosts": {"ai_text_chat": 0}}).json()["featureCosts"]["ai_text_chat"] == 0
    )
    assert administrator.put(SETTINGS, {}).json()["featureCosts"]["ai_image_generation"] == 5


def test_a_ceiling_on_what_a_call_costs_us_stays(administrator: APIClient) -> None:
    Price.objects.create(feature="ai_text_chat", amount=credits(1), most_cost_picos=10**9)

    administrator.put(SETTINGS, {"featureCosts": {"ai_text_chat": 3}})

    assert Price.objects.filter(feature="ai_text_chat").first().most_cost_picos == 10**9


def test_a_flat_cost_does_not_replace_a_metered_price(administrator: APIClient) -> None:
    terms = {"type": "METERED", "amount": 0, "rate": credits(1000), "markup": 1_200_000}
    Price.objects.create(feature="ai_text_chat", **terms)

    refused = administrator.put(SETTINGS, {"featureCosts": {"ai_image_generation": 9, "ai_text_chat": 1}})

    assert fields_of(refused) == ["body.featureCosts.ai_text_chat"]
    assert administrator.get(SETTINGS).json()["featureCosts"] == {"ai_image_generation": 5}


def test_plans_are_set_by_their_ids_and_the_others_stay(administrator: APIClient, pro: Plan) -> None:
    wanted = {"cplan_pro": {"name": "Pro+", "credits": 600}, "cplan_new": {"name": "New", "credits": 5}}
    Plan.objects.create(name="Basic", slug="basic", clerk_id="cplan_basic", credits=credits(1))

    body = administrator.put(SETTINGS, {"billingPlans": wanted}).json()

    assert body["billingPlans"] == {**wanted, "cplan_basic": {"name": "Basic", "credits": 1}}
    assert body["planCredits"] == {"cplan_pro": 600, "cplan_new": 5, "cplan_basic": 1}
    assert Plan.objects.get(clerk_id="cplan_new").slug == "new"


def test_a_wrong_setting_is_named_and_nothing_is_changed(administrator: APIClient) -> None:
    wrong: list[tuple[Any, str]] = [
        ({"featureCosts": {"ai_video": 1}}, "body.featureCosts"),
        ({"featureCosts": {"ai_text_chat": -1}}, "body.featureCosts.ai_text_chat"),
        ({"featureCosts": {"ai_text_chat": 1.5}}, "body.featureCosts.ai_text_chat"),
        ({"featureCosts": {"ai_text_chat": None}}, "body.featureCosts.ai_text_chat"),
        ({"featureCosts": 1}, "body.featureCosts"),
        ({"billingPlans": {"price_1": {"name": "x", "credits": 1}}}, "body.billingPlans.price_1"),
        ({"billingPlans": {"cplan_x": {"credits": 1}}}, "body.billingPlans.cplan_x.name"),
        ({"billingPlans": {"cplan_x": {"name": "x", "credits": "lots"}}}, "body.billingPlans.cplan_x.credits"),
        ({"billingPlans": {f"cplan_{n}": {"name": "x", "credits": 1} for n in range(101)}}, "body.billingPlans"),
        ({"billingPlans": []}, "body.billingPlans"),
        ({"featureCosts": {"ai_text_chat": 9}, "smtp": {}}, "body"),
    ]

    prices = Price.objects.count()
    named = [(field, fields_of(administrator.put(SETTINGS, body))) for body, field in wrong]

    assert [each for each in named if each[1] != [each[0]]] == []
    assert (Price.objects.count(), Plan.objects.count()) == (prices, 0)


# In the admin


def test_the_admin_edits_a_plan_and_names_what_is_wrong(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root@example.com"))
    page = reverse("admin:billing_plan_add")
    form = {"name": "Pro", "slug": "pro", "clerk_id": "cplan_pro", "billing_source": "clerk", "credits": "12.5",
            "cta_type": "checkout", "position": "0", "features": '[{"name": "Chat"}]', "is_active": "on"}  # fmt: skip

    wrong = client.post(page, {**form, "clerk_id": "", "credits": "-1", "features": '["Chat"]'})
    saved = client.post(page, form)
    by_hand = client.post(page, {**form, "slug": "x", "clerk_id": "", "billing_source": "manual"})

    assert set(wrong.context["adminform"].form.errors) == {"clerk_id", "credits", "features"}
    assert (saved.status_code, by_hand.status_code) == (302, 302)
    plan, manual = Plan.objects.order_by("pk")
    assert (plan.credits, plan.features) == (
        125_000_000, [{"name": "Chat", "description": "", "included": True}],
    )  # fmt: skip
    assert (manual.cta_type, manual.clerk_id) == ("contact", None)
    assert 'value="12.5"' in client.get(reverse("admin:billing_plan_change", args=[plan.pk])).content.decode()
    assert timezone.now() >= plan.updated_at
