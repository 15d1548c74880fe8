"""
One transaction for whatever has queued: admissions, generation ids, conclusions.

    admit      who asks? what does it cost? is it affordable? → hold
    identify   the provider's id of the generation → on the hold, before a byte is relayed
    conclude   settle or release the hold, write the usage record, add it to its day

However many operations there are, each table is read or written once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.errors import InvalidApiKey, PermissionDenied, PrepaidError
from accounts.models import ApiKey
from billing import days, lookup
from billing.admission import NOBODY, Asked, Caller, decide
from billing.calls import Call, Ending, Receipt, Report
from billing.pricing import Terms, charge
from credits import rows
from credits.books import Books, HoldRequest
from credits.ledger import Why
from credits.models import Hold

#: Who answers the calls of test keys, whatever the installation calls otherwise.
TEST_PROVIDER = "simulator"
CHARGED = {Ending.COMPLETED, Ending.CANCELLED}


@dataclass(frozen=True, slots=True)
class Admit:
    """
    Ask for ``quantity`` of ``feature``. Its outcome is a ``Call``, or the refusal.

    One of ``key_digest`` and ``external_id`` says who asks, ``customer_id`` or else ``team_id`` for whom if they
    choose, ``team_role`` what the token calls them there; ``introduced`` that it has been told to the database,
    ``named_models`` every model that may answer. With ``session_id`` the call is paid from that session hold
    instead of the account.
    """

    hold_id: str
    key_digest: str
    external_id: str
    impersonated: bool
    request_id: str
    feature: str
    quantity: int
    provider: str
    model: str
    streamed: bool
    lifetime: timedelta
    session_id: str | None = None
    customer_id: int | None = None
    address: str = ""
    named_models: tuple[str, ...] = ()
    team_id: str = ""
    team_role: str = ""
    introduced: bool = False

    @property
    def who(self) -> lookup.Who:
        return (self.key_digest, 0, "") if self.key_digest else (self.external_id, self.customer_id or 0, self.team_id)

    def is_news_to(self, caller: Caller) -> bool:
        """Whether the token tells of a membership, or of a role in it, that the database does not know of."""
        if self.introduced or not self.team_id or self.customer_id is not None:
            return False
        return caller.customer_id == NOBODY or self.team_role not in ("", caller.external_role)


@dataclass(frozen=True, slots=True)
class Identify:
    """Keep the provider's id of the generation on the hold, as long as that is pending."""

    call: Call
    generation_id: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """Resolve the hold as the report says and write the usage record. Its outcome is a ``Receipt``."""

    call: Call
    report: Report


Operation = Admit | Identify | Conclude


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
        asking, prices = _look_up(admissions, now)
        books = Books.open(
            {caller.account_id for caller in asking.values() if caller.account_id != NOBODY}
            | {conclusion.call.account_id for conclusion in conclusions},
            {conclusion.call.hold_id for conclusion in conclusions} | _sessions(admissions, conclusions),
            now=now,
        )
        usage = []
        for conclusion in conclusions:
            receipt = outcomes[id(conclusion)] = _conclude(books, conclusion)
            if receipt.first:
                usage.append(_usage_row(conclusion, receipt))

        admitted = _admitted_before(admissions) if again else {}
        for admission in admissions:
            caller = asking.get(admission.who)
            terms = prices.get(admission.feature)
            outcomes[id(admission)] = admitted.get(admission.hold_id) or _admit(books, admission, caller, terms, now)

        concluded = {conclusion.call.hold_id for conclusion in conclusions}
        books.save(
            rows.insert("billing_usagerecord", USAGE, usage),
            days.add(usage),
            rows.update(
                "credits_hold",
                IDENTITY,
                [
                    {"id": identity.call.hold_id, "reference": identity.generation_id}
                    for identity in identities
                    if identity.call.hold_id not in concluded
                ],
                where="status = 'PENDING'",
            ),
            lookup.mark_used(asking.values(), now=now),
        )
    return [outcomes.get(id(operation)) for operation in operations]


def _sessions(admissions: Sequence[Admit], conclusions: Sequence[Conclude]) -> set[str]:
    ids = {admission.session_id for admission in admissions}
    ids |= {conclusion.call.session_id for conclusion in conclusions}
    return {id_ for id_ in ids if id_ is not None}


def _look_up(admissions: Sequence[Admit], now: datetime) -> tuple[dict[lookup.Who, Caller], dict[str, Terms]]:
    if not admissions:
        return {}, {}
    digests = {admission.key_digest for admission in admissions} - {""}
    people = {admission.who for admission in admissions if not admission.key_digest}
    return lookup.read(digests, people, now=now)


def _admit(
    books: Books, admission: Admit, caller: Caller | None, terms: Terms | None, now: datetime
) -> Call | PrepaidError:
    if caller is None or admission.is_news_to(caller):
        return InvalidApiKey() if admission.key_digest else UnknownPerson()
    if admission.impersonated:
        return PermissionDenied("Whoever acts in another's name may look, but not spend.")
    asked = Asked(
        models=admission.named_models or (admission.model,),
        feature=admission.feature,
        address=admission.address,
        customer_id=admission.customer_id,
    )
    try:
        available = 0 if caller.customer_id == NOBODY else books.available(caller.account_id, admission.session_id)
        amount = decide(caller, terms, asked=asked, quantity=admission.quantity, available=available, now=now)
    except PrepaidError as refusal:
        return refusal
    assert terms is not None, "a feature without a price is refused"
    call = Call(
        hold_id=admission.hold_id,
        session_id=admission.session_id,
        account_id=caller.account_id,
        customer_id=caller.customer_id,
        key_id=caller.key_id,
        actor=caller.actor,
        request_id=admission.request_id,
        feature=admission.feature,
        quantity=admission.quantity,
        terms=terms,
        held=amount,
        provider=TEST_PROVIDER if caller.mode == ApiKey.Mode.TEST else admission.provider,
        model=admission.model,
        streamed=admission.streamed,
        admitted_at=now,
        time_zone=caller.time_zone,
    )
    books.hold(
        HoldRequest(
            id=call.hold_id,
            account_id=call.account_id,
            key=None,
            amount=amount,
            expires_at=now + admission.lifetime,
            context=call,
            parent_id=call.session_id,
            lapse=Hold.Lapse.RESOLVE.value,
        )
    )
    return call


def _conclude(books: Books, conclusion: Conclude) -> Receipt:
    call, report = conclusion.call, conclusion.report
    if report.ending in CHARGED:
        cost = charge(call.terms, report.delivered)
        resolution = books.settle(call.hold_id, cost, why=Why(call.actor), reference=report.generation_id)
    else:
        resolution = books.release(call.hold_id, reference=report.generation_id)
    return Receipt(
        charged=resolution.settled,
        held=call.held,
        shortfall=resolution.shortfall,
        available=books.by_account[call.account_id].available,
        first=resolution.first,
    )


def _admitted_before(admissions: Sequence[Admit]) -> dict[str, Call]:
    holds = Hold.objects.filter(pk__in=[admission.hold_id for admission in admissions])
    return {id_.hex: Call.from_context(context) for id_, context in holds.values_list("id", "context")}


IDENTITY = (("id", rows.UUID_), ("reference", rows.TEXT))
USAGE = (
    ("hold_id", rows.UUID_),
    ("customer_id", rows.BIGINT),
    ("api_key_id", rows.BIGINT),
    ("request_id", rows.TEXT),
    ("feature", rows.TEXT),
    ("quantity", rows.BIGINT),
    ("price_id", rows.BIGINT),
    ("status", rows.TEXT),
    ("error_code", rows.TEXT),
    ("held", rows.BIGINT),
    ("charged", rows.BIGINT),
    ("shortfall", rows.BIGINT),
    ("provider_cost", rows.TEXT),
    ("provider_cost_picos", rows.BIGINT),
    ("provider", rows.TEXT),
    ("model", rows.TEXT),
    ("generation_id", rows.TEXT),
    ("prompt_tokens", rows.BIGINT),
    ("completion_tokens", rows.BIGINT),
    ("cached_tokens", rows.BIGINT),
    ("reasoning_tokens", rows.BIGINT),
    ("streamed", rows.BOOLEAN),
    ("latency_ms", rows.BIGINT),
    ("first_token_ms", rows.BIGINT),
    ("created_at", rows.INSTANT),
    ("day", rows.DATE),
)


def _usage_row(conclusion: Conclude, receipt: Receipt) -> dict[str, Any]:
    call, report = conclusion.call, conclusion.report
    return {
        "hold_id": call.hold_id,
        "customer_id": call.customer_id,
        "api_key_id": call.key_id,
        "request_id": call.request_id,
        "feature": call.feature,
        "quantity": report.delivered or call.quantity,
        "price_id": call.terms.price_id,
        "status": report.ending.value,
        "error_code": report.error_code,
        "held": call.held,
        "charged": receipt.charged,
        "shortfall": receipt.shortfall,
        "provider_cost": report.cost[:40],
        "provider_cost_picos": report.cost_picos,
        "provider": call.provider,
        "model": (report.model or call.model)[:200],
        "generation_id": report.generation_id[:255],
        "prompt_tokens": report.prompt_tokens,
        "completion_tokens": report.completion_tokens,
        "cached_tokens": report.cached_tokens,
        "reasoning_tokens": report.reasoning_tokens,
        "streamed": call.streamed,
        "latency_ms": report.latency_ms,
        "first_token_ms": report.first_token_ms,
        "created_at": call.admitted_at,
        "day": call.day,
    }
