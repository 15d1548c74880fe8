"""What a call that has ended is charged: by its fixed price, or by what the provider says that it cost. Pure."""

from fractions import Fraction

from billing.calls import Call, Report
from billing.pricing import FIXED, price, worth
from billing.rates import FEMTO


def charge(call: Call, report: Report) -> int:
    """
    Return the units that ``call`` is charged, under the terms of its admission. What delivered nothing is free.

    It may be more than is held: the rest is our loss.
    """
    if not report.delivered:
        return 0
    if call.terms.type == FIXED:
        due = price(call.terms, report.delivered)
    else:
        due = worth(call.terms, cost_of(call, report) * FEMTO)
    return due if report.kept_percent is None else -(-due * report.kept_percent // 100)


def cost_of(call: Call, report: Report) -> Fraction:
    """
    Return what the call cost us, in US dollars.

    The provider's word counts where it can be believed. A cost of nothing is believed of a free model and of an
    empty answer only; it, and whatever is no cost at all, is replaced by the listed price of the tokens. Where
    those are unknown too, nobody will ever know, and what is above the least charge is our loss.
    """
    stated = report.exact_cost
    if stated is not None and (stated or is_free(call) or not report.completion_tokens):
        return stated
    return estimate(call, report)


def estimate(call: Call, report: Report) -> Fraction:
    """What the tokens of an answer cost by the prices that the hold was computed from."""
    if call.limits is None or (report.prompt_tokens is None and report.completion_tokens is None):
        return Fraction(0)
    rates = call.limits.rates
    tokens = (report.prompt_tokens or 0) * rates.prompt + (report.completion_tokens or 0) * rates.completion
    return Fraction(tokens + rates.request, FEMTO)


def is_free(call: Call) -> bool:
    return call.limits is not None and call.limits.rates.are_free
