"""
Where the gateway's requests meet the ledger: one queue a process, committed in batches.

Every coroutine here returns when its effect is committed.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache, partial
from uuid import UUID

import orjson
from django.conf import settings
from django.utils import timezone

from accounts.authentication import Credential
from accounts.directory import introduce
from ai.demand import measure
from ai.http import invalid
from ai.labels import end_user_of, notes_of
from ai.protocols.base import Wanted
from ai.threads import in_database
from billing import batch
from billing.batch import UnknownPerson
from billing.calls import Call, Receipt, Report
from billing.operations import Admit, Conclude, Identify
from billing.permits import models_named
from credits.group_commit import GroupCommit
from credits.services import new_hold_id


def session_of(headers: Mapping[str, str]) -> str | None:
    """
    Return the session hold that ``X-Hold-Id`` names, if the request has one: 32 hexadecimal digits.

    :raises ValidationFailed: if it is no hold's id
    """
    text = headers.get("x-hold-id")
    if text is None:
        return None
    try:
        return UUID(text).hex
    except ValueError as error:
        message = "X-Hold-Id is the id of a hold, as POST /api/credits/holds returns it."
        raise invalid("header.X-Hold-Id", message, "INVALID") from error


class Desk:
    def __init__(self) -> None:
        self.queue = GroupCommit(
            lambda operations, *, again: batch.commit(operations, again=again, now=timezone.now()),
            capacity=settings.LEDGER_QUEUE_SIZE,
        )

    async def admit(
        self,
        credential: Credential,
        wanted: Wanted,
        *,
        provider: str,
        request_id: str,
        session_id: str | None = None,
        body: bytes | memoryview | None = None,
    ) -> Call:
        """
        Hold what the call may cost: of the account, or of the session hold ``session_id``.

        ``body`` is the payload as it is sent, if it has been encoded.

        :raises ValidationFailed: if the call is for an end user who has no name that is kept
        :raises UnpricedField: if a field costs money at the provider and has no price
        :raises PrepaidError: any refusal of ``billing.admission.decide``; an unknown key; a busy or unreachable ledger
        """
        person = credential.person
        admit = partial(
            Admit,
            session_id=session_id,
            key_digest=credential.key_digest,
            external_id=person.external_id if person else "",
            team_id=person.team_id if person else "",
            team_role=person.team_role if person else "",
            request_id=request_id,
            feature=wanted.feature.value,
            quantity=wanted.quantity,
            provider=provider,
            model=wanted.model,
            streamed=wanted.streamed,
            impersonated=person is not None and person.impersonator != "",
            customer_id=credential.customer_id,
            address=credential.address,
            named_models=models_named(wanted.model, wanted.payload),
            demand=measure(wanted, orjson.dumps(wanted.payload) if body is None else body),
            lifetime=timedelta(seconds=settings.HOLD_LIFETIME_SECONDS),
            end_user=end_user_of(credential.end_user, wanted.payload),
            notes=notes_of(wanted.payload),
        )
        try:
            call: Call = await self.queue.run(admit(hold_id=new_hold_id()))
        except UnknownPerson:
            assert person is not None, "a key is known, or it is refused"
            await in_database(introduce, person)
            call = await self.queue.run(admit(hold_id=new_hold_id(), introduced=True))
        return call

    async def identify(self, call: Call, generation_id: str) -> None:
        """Keep the provider's id of the generation on the hold."""
        await self.queue.run(Identify(call, generation_id), may_be_refused=False)

    async def conclude(self, call: Call, report: Report) -> Receipt:
        """Settle or release the hold as the report says."""
        receipt: Receipt = await self.queue.run(Conclude(call, report), may_be_refused=False)
        return receipt


@cache
def desk() -> Desk:
    """This process's desk."""
    return Desk()
