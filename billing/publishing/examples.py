"""What a call of an ordinary size costs: examples that operators can compare prices by. Pure."""

from dataclasses import dataclass

from billing.catalogue import Feature
from billing.pricing import FIXED, Demand, Terms, allowed, least, worth
from billing.rates import Rates


@dataclass(frozen=True, slots=True)
class Example:
    """A call of so many tokens. ``makes`` is what a model must put out to answer it."""

    title: str
    prompt_tokens: int
    completion_tokens: int
    makes: str = "text"

    def cost(self, rates: Rates) -> int:
        """What it costs us, in femtodollars. Only drawn tokens have the dearest price of all that a model makes."""
        each = rates.output if self.makes == "image" else rates.completion
        return self.prompt_tokens * rates.prompt + self.completion_tokens * each + rates.request

    @property
    def demand(self) -> Demand:
        return Demand(prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens)


CHAT = Example("a chat of 1,000 tokens in and 1,000 out", 1000, 1000)
#: A picture of 1024 × 1024 pixels is 1,290 tokens at the provider that sells most of them.
IMAGE = Example("an image of 1,290 tokens from a prompt of 100", 100, 1290, makes="image")
EMBEDDING = Example("an embedding of 1,000 tokens", 1000, 0, makes="embeddings")
EXAMPLES = {Feature.AI_IMAGE_GENERATION.value: IMAGE, Feature.AI_EMBEDDING.value: EMBEDDING}


def example_of(feature: str) -> Example:
    return EXAMPLES.get(feature, CHAT)


@dataclass(frozen=True, slots=True)
class Charge:
    """
    What an example costs a customer, in units; None if it is not sold, and ``note`` says why.

    ``tokens`` is set where a ceiling lets the answer have no more.
    """

    amount: int | None
    note: str = ""
    tokens: int | None = None


def charge_of(example: Example, terms: Terms | None, rates: Rates | None) -> Charge:
    """Return what ``example`` costs under ``terms`` with a model of ``rates``, None where those are unknown."""
    if terms is None:
        return Charge(None, "not sold")
    if terms.needs_rates and rates is None:
        return Charge(None, "not sold: its cost is unknown")
    if terms.type != FIXED:
        assert rates is not None, "a metered price needs them"
        return Charge(worth(terms, example.cost(rates)))
    if rates is None:
        return Charge(terms.amount)
    tokens = allowed(terms, 1, example.demand, rates)
    if tokens < least(example.demand, rates):
        return Charge(None, "refused: dearer than the ceiling")
    if tokens < example.completion_tokens:
        return Charge(terms.amount, f"cut to {tokens:,} tokens", tokens)
    return Charge(terms.amount)
