"""
One transaction for whatever has queued: admissions, generation ids, conclusions.

    admit      who asks? what does it cost? is it affordable? → hold
    identify   the provider's id of the generation → on the hold, before a byte is relayed
    conclude   settle or release the hold, write the usage record, add it to its day

However many operations there are, each table is read or written once.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.errors import InvalidApiKey, PermissionDenied, PrepaidError
from accounts.models import ApiKey
from billing import days, limits, lookup, metering, records
from billing.admission import NOBODY, Caller, Decision, Offer, decide
from billing.calls import Call, Ending, Receipt
from billing.counters import Counters
from billing.inquiry import Inquiry, inquire
from billing.operations import Admit, Conclude, Identify, Operation
from credits import rows
from credits.books import Books, HoldRequest
from credits.errors import HoldNotFound
from credits.ledger import Why
from credits.models import Hold

#: Who answers the calls of test keys, whatever the installation calls otherwise.
TEST_PROVIDER = "simulator"
CHARGED = {Ending.COMPLETED, Ending.CANCELLED}


class UnknownPerson(PrepaidError):
    """The token is good, but tells of a user or a member who is not known: introduce them and ask again."""

    status = 401
    code = "unauthorized"


def commit(operations: Sequence[Operation], *, again: bool, now: datetime) -> list[Any]:
    """
    Carry out ``operations`` in one transaction and return an outcome for each, in their order.

    Conclusions come first, so that what they free can be held again. ``again`` says that the
    same operations may have been committed by a try whose end is not known: then an
    admission that holds already returns its call. A conclusion that comes second always
    returns the first result.
    """
    admissions = [operation for operation in operations if isinstance(operation, Admit)]
    conclusions = [operation for operation in operations if isinstance(operation, Conclude)]
    identities = [operation for operation in operations if isinstance(operation, Identify)]
    outcomes: dict[int, Any] = {}
    with transaction.atomic():
        inquiries = inquire(admissions, now=now)
        books = Books.open(
            {offer.account_id for each in inquiries.values() for offer in each.offers if offer.account_id != NOBODY}
            | {conclusion.call.account_id for conclusion in conclusions},
            {conclusion.call.hold_id for conclusion in conclusions} | _sessions(admissions, conclusions),
            now=now,
        )
        counters = Counters.open(
            (allowance for each in inquiries.values() for allowance in each.allowances),
            (conclusion.call for conclusion in conclusions),
            now=now,
        )
        usage = []
        for conclusion in conclusions:
            receipt = outcomes[id(conclusion)] = _conclude(books, conclusion)
            counters.conclude(conclusion.call, conclusion.report, receipt)
            if receipt.first:
                usage.append(records.usage_row(conclusion.call, conclusion.report, receipt))

        admitted = _admitted_before(admissions) if again else {}
        for admission in admissions:
            outcomes[id(admission)] = admitted.get(admission.hold_id) or _admit(
                books, counters, admission, inquiries.get(admission.hold_id), now
            )

        books.save(
            rows.insert(records.TABLE, records.COLUMNS, usage),
            days.add(usage),
            counters.changes(),
            _identified(identities, but={conclusion.call.hold_id for conclusion in conclusions}),
            lookup.mark_used((each.caller for each in inquiries.values()), now=now),
        )
    return [outcomes.get(id(operation)) for operation in operations]


def _sessions(admissions: Sequence[Admit], conclusions: Sequence[Conclude]) -> set[str]:
    ids = {admission.session_id for admission in admissions}
    ids |= {conclusion.call.session_id for conclusion in conclusions}
    return {id_ for id_ in ids if id_ is not None}


def _admit(
    books: Books, counters: Counters, admission: Admit, inquiry: Inquiry | None, now: datetime
) -> Call | PrepaidError:
    if inquiry is None or admission.is_news_to(inquiry.caller):
        return InvalidApiKey() if admission.key_digest else UnknownPerson()
    if admission.impersonated:
        return PermissionDenied("Whoever acts in another's name may look, but not spend.")
    caller, offers = inquiry.caller, inquiry.offers
    rations = counters.rations(inquiry.allowances)
    try:
        if admission.session_id is not None:
            offers = _of_session(books, admission.session_id, offers)
        decision = decide(
            caller,
            offers,
            asked=inquiry.asked,
            quantity=admission.quantity,
            available={
                offer.account_id: books.available(offer.account_id, admission.session_id)
                for offer in offers
                if offer.account_id != NOBODY
            },
            now=now,
            demand=admission.demand,
            rates=inquiry.rates,
            installation_models=" ".join(settings.ALLOWED_MODELS),
            rations=rations,
        )
    except PrepaidError as refusal:
        refusal.headers |= limits.headers(rations)
        return refusal
    call = _call(admission, caller, decision, now)
    if rations:
        counted = counters.take(rations, decision)
        call = replace(call, counted_as=counted, counted_on=call.day, _pace=limits.headers(rations))
    books.hold(
        HoldRequest(
            id=call.hold_id,
            account_id=call.account_id,
            key=None,
            amount=decision.amount,
            expires_at=now + admission.lifetime,
            context=call,
            parent_id=call.session_id,
            lapse=Hold.Lapse.RESOLVE.value,
        )
    )
    return call


def _call(admission: Admit, caller: Caller, decision: Decision, now: datetime) -> Call:
    return Call(
        hold_id=admission.hold_id,
        session_id=admission.session_id,
        account_id=decision.offer.account_id,
        customer_id=caller.customer_id,
        key_id=caller.key_id,
        actor=caller.actor,
        request_id=admission.request_id,
        feature=admission.feature,
        quantity=admission.quantity,
        terms=decision.terms,
        held=decision.amount,
        provider=TEST_PROVIDER if caller.mode == ApiKey.Mode.TEST else admission.provider,
        model=admission.model,
        streamed=admission.streamed,
        admitted_at=now,
        time_zone=caller.time_zone,
        currency=decision.offer.currency,
        limits=decision.limits,
        end_user=admission.end_user,
        notes=admission.notes,
        cache_seconds=caller.cache_seconds,
    )


def _of_session(books: Books, session_id: str, offers: list[Offer]) -> list[Offer]:
    """
    Keep the offer whose account the session hold is on: what is drawn from it stays in its currency.

    :raises HoldNotFound: if it is on no account that could pay
    """
    account_id = books.account_of_session(session_id)
    kept = [offer for offer in offers if offer.account_id == account_id]
    if offers and not kept:
        raise HoldNotFound
    return kept


def _conclude(books: Books, conclusion: Conclude) -> Receipt:
    call, report = conclusion.call, conclusion.report
    if report.ending in CHARGED:
        due = metering.charge(call, report)
        resolution = books.settle(call.hold_id, due, why=Why(call.actor), reference=report.generation_id)
    else:
        resolution = books.release(call.hold_id, reference=report.generation_id)
    return Receipt(
        charged=resolution.settled,
        held=call.held,
        shortfall=resolution.shortfall,
        available=books.by_account[call.account_id].available,
        first=resolution.first,
        currency=call.currency,
    )


def _identified(identities: Sequence[Identify], *, but: set[str]) -> rows.Change:
    """Name the generations of the holds that pend. A conclusion names its own."""
    named = [
        {"id": identity.call.hold_id, "reference": identity.generation_id}
        for identity in identities
        if identity.call.hold_id not in but
    ]
    return rows.update("credits_hold", IDENTITY, named, where="status = 'PENDING'")


def _admitted_before(admissions: Sequence[Admit]) -> dict[str, Call]:
    holds = Hold.objects.filter(pk__in=[admission.hold_id for admission in admissions])
    return {id_.hex: Call.from_context(context) for id_, context in holds.values_list("id", "context")}


IDENTITY = (("id", rows.UUID_), ("reference", rows.TEXT))
