"""What can be asked of a batch (``billing.batch``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from billing import lookup
from billing.admission import NOBODY, Asked, Caller
from billing.calls import Call, Report
from billing.pricing import NOTHING, Demand


@dataclass(frozen=True, slots=True)
class Admit:
    """
    Ask for ``quantity`` of ``feature``. Its outcome is a ``Call``, or the refusal.

    One of ``key_digest`` and ``external_id`` says who asks, ``customer_id`` or else ``team_id`` for whom if they
    choose, ``team_role`` what the token calls them there; ``introduced`` that it has been told to the database,
    ``named_models`` every model that may answer, ``demand`` how much it can come to. With ``session_id`` the call
    is paid from that session hold instead of the account. ``end_user`` and ``notes`` are the caller's own labels.
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
    demand: Demand = NOTHING
    end_user: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        return Asked(
            models=self.named_models or (self.model,),
            feature=self.feature,
            address=self.address,
            customer_id=self.customer_id,
        )

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
