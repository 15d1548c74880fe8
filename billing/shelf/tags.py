"""The price tags of a model: what it costs here, beside what the provider asks for it. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from billing.catalogue import Feature
from billing.prices import EVERYBODY, PriceList
from billing.pricing import FIXED, Terms
from billing.rates import EXACT, femtos
from credits.amounts import PLACES, display

#: What a model is called for, by what it puts out.
FEATURES = {
    "text": Feature.AI_TEXT_CHAT,
    "image": Feature.AI_IMAGE_GENERATION,
    "embeddings": Feature.AI_EMBEDDING,
}
CURRENCIES = ("credits", "usdc")
#: Places of a price: units, and millionths of a markup.
SCALE = PLACES + 6

Tag = dict[str, Any]


def tags(entry: Mapping[str, Any], prices: PriceList, *, customer_id: int = EVERYBODY) -> list[Tag]:
    """
    Return what ``customer_id`` pays for the model of a catalogue's ``entry``: one tag for each feature and currency.

    A FIXED one has the ``amount`` of a unit; a METERED one the ``minimum`` of a call, and ``pricing`` under the
    provider's own names, in the currency, exact.
    """
    found = []
    for feature, currency, terms in terms_of(entry, prices, customer_id=customer_id):
        tag: Tag = {"feature": feature.value, "currency": currency, "type": terms.type}
        if terms.type == FIXED:
            tag["amount"] = display(terms.amount)
        else:
            tag |= {"minimum": display(terms.amount), "pricing": _pricing(entry.get("pricing"), terms)}
        found.append(tag)
    return found


def terms_of(
    entry: Mapping[str, Any], prices: PriceList, *, customer_id: int = EVERYBODY
) -> Iterable[tuple[Feature, str, Terms]]:
    """Yield the terms in force, for each feature that the model is for and each currency."""
    architecture = entry.get("architecture")
    outputs = architecture.get("output_modalities") if isinstance(architecture, Mapping) else None
    for modality, feature in FEATURES.items():
        for currency in CURRENCIES:
            if modality in (outputs or ["text"]):
                terms = prices.of(feature, currency, customer_id=customer_id, model=str(entry.get("id", "")))
                if terms is not None:
                    yield feature, currency, terms


def _pricing(pricing: object, terms: Terms) -> dict[str, str]:
    """The provider's prices at the rate and with the markup of METERED ``terms``. What is no price is left out."""
    marked: dict[str, str] = {}
    for name, price in pricing.items() if isinstance(pricing, Mapping) else ():
        if name == "discount":
            continue
        try:
            femtos(price)  # only what a hold can be computed from is a price
            exact = EXACT.multiply(Decimal(str(price)), Decimal(terms.rate * terms.markup)).scaleb(-SCALE, EXACT)
        except InvalidOperation:
            continue
        marked[name] = f"{exact.normalize(EXACT):f}"
    return marked
