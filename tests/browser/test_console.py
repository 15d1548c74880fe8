"""
The admin in a real browser: every page on a desktop and a phone, in light and dark.

Keeps a picture of each in ``build/screenshots/`` for people to look at. Skipped where
Playwright or Chromium is missing.
"""

import shutil
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey, Customer, User
from ai.providers.simulator.catalogue import MODELS as MODELS_OF_THE_SIMULATOR
from billing.listing import keep
from billing.models import Price, UsageRecord
from credits.models import Account, Grant, Hold, LedgerEntry
from tests import factories
from tests.config.test_console import fill
from webhooks.models import InboundEvent

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
PICTURES = Path(__file__).resolve().parent.parent.parent / "build" / "screenshots"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
]

MODELS = [Account, ApiKey, Customer, Grant, Hold, InboundEvent, LedgerEntry, Price, UsageRecord, User]
SCREENS = {"desktop": (1280, 860), "phone": (390, 844)}


@pytest.fixture
def addresses(live_server):
    """The pages to look at, by name. Read before the browser starts, since its loop forbids queries."""
    fill(timezone.now(), rows=3)
    account = Account.objects.latest("id")
    found = {
        "overview": reverse("admin:index"),
        "adjust": reverse("admin:credits_account_adjust", args=[account.pk]),
        "explain": reverse("admin:credits_account_explain", args=[account.pk]) + "?since=2026-01-01T00:00:00",
        "publish": reverse("admin:billing_price_add"),
        "trial-balance": reverse("admin:credits_ledgerentry_trial_balance"),
    }
    for model in MODELS:
        name, row = f"{model._meta.app_label}_{model._meta.model_name}", model.objects.order_by("pk").last()
        found[f"{name}-list"] = reverse(f"admin:{name}_changelist")
        found[f"{name}-page"] = reverse(f"admin:{name}_change", args=[row.pk])
    return {name: live_server.url + path for name, path in found.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_fits_its_screen_and_logs_no_error(addresses, live_server, screen, scheme):
    User.objects.create_superuser("root@example.com", factories.PASSWORD)
    width, height = SCREENS[screen]
    (PICTURES / screen).mkdir(parents=True, exist_ok=True)
    errors, too_wide = [], []
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{live_server.url}{reverse('admin:login')}?next={reverse('admin:index')}")
        page.fill("[name=username]", "root@example.com")
        page.fill("[name=password]", factories.PASSWORD)
        page.click("[type=submit]")
        page.wait_for_url(addresses["overview"])
        for name, address in addresses.items():
            page.goto(address, wait_until="networkidle")
            page.screenshot(path=PICTURES / screen / f"{name}-{scheme}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                too_wide.append(name)

    assert errors == []
    assert too_wide == []


@pytest.mark.timeout(120)
def test_an_operator_adjusts_a_balance_with_preview_and_receipt(addresses, live_server):
    User.objects.create_superuser("root@example.com", factories.PASSWORD)
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page()
        page.goto(f"{live_server.url}{reverse('admin:login')}?next={addresses['adjust'].removeprefix(live_server.url)}")
        page.fill("[name=username]", "root@example.com")
        page.fill("[name=password]", factories.PASSWORD)
        page.click("[type=submit]")
        page.fill("[name=amount]", "-1.25")
        page.fill("[name=reference]", "ticket-1")
        page.fill("[name=memo]", "Granted twice")
        page.click("text=Preview")
        page.click("text=Book it")
        page.wait_for_selector("text=Booked -1.25")

    entry = LedgerEntry.objects.latest("id")
    assert (entry.kind, entry.amount, entry.memo) == ("ADJUSTMENT", -12_500_000, "Granted twice")


@pytest.mark.timeout(120)
def test_an_operator_publishes_a_metered_price_on_a_phone_after_seeing_what_changes(addresses, live_server):
    User.objects.create_superuser("root@example.com", factories.PASSWORD)
    keep(MODELS_OF_THE_SIMULATOR, now=timezone.now())
    (PICTURES / "phone").mkdir(parents=True, exist_ok=True)
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(
            f"{live_server.url}{reverse('admin:login')}?next={addresses['publish'].removeprefix(live_server.url)}"
        )
        page.fill("[name=username]", "root@example.com")
        page.fill("[name=password]", factories.PASSWORD)
        page.click("[type=submit]")
        assert not page.is_visible("[name=markup]")
        page.select_option("[name=type]", "METERED")
        assert not page.is_visible("[name=most_cost]")
        page.fill("[name=amount]", "0.001")
        page.fill("[name=rate]", "100")
        page.fill("[name=markup]", "1.2")
        page.click("text=See what changes")
        page.wait_for_selector("text=120 credits for each dollar")
        page.screenshot(path=PICTURES / "phone" / "publish-preview-light.png", full_page=True)
        fits = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.click("text=Publish it")
        page.wait_for_url("**/billing/price/")

    assert fits
    price = Price.objects.latest("id")
    assert (price.type, price.amount, price.rate, price.markup) == ("METERED", 10_000, 1_000_000_000, 1_200_000)
