"""What the simulator has charged for: the oracle that charges to customers are compared with."""

import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ai.providers.simulator import catalogue

KEPT_BOOKINGS = 100_000


@dataclass(slots=True)
class Booking:
    """One generation. It costs what it has produced so far; nothing if it failed by the provider's fault."""

    id: str
    model: str
    user: str
    streamed: bool
    prompt_tokens: int
    generation_ms: int
    text_tokens: int = 0
    images: int = 0
    vectors: int = 0
    chunks: int = 0
    finish_reason: str | None = None
    status: str = "RUNNING"
    created: int = field(default_factory=lambda: int(time.time()))
    ended: float | None = None

    @property
    def cost(self) -> Decimal:
        if self.status == "FAILED":
            return Decimal(0)
        if not (self.text_tokens or self.images or self.vectors):
            return Decimal(0)  # nothing was produced
        return catalogue.cost(
            self.model, prompt_tokens=self.prompt_tokens, text_tokens=self.text_tokens, images=self.images
        )

    @property
    def cost_text(self) -> str:
        """US dollars, in digits alone."""
        text = f"{self.cost:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    @property
    def completion_tokens(self) -> int:
        return self.text_tokens + self.images * catalogue.IMAGE_TOKENS

    def end(self, status: str, finish_reason: str | None = None) -> None:
        """Close the booking as ``FINISHED``, ``CANCELLED`` or ``FAILED``; the first end counts."""
        if self.status == "RUNNING":
            self.status, self.finish_reason, self.ended = status, finish_reason, time.monotonic()

    @property
    def is_known(self) -> bool:
        """Whether ``GET /generation`` tells of it yet."""
        if self.ended is None or self.generation_ms < 0:
            return False
        return time.monotonic() - self.ended >= self.generation_ms / 1000

    def as_entry(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "model": self.model,
            "user": self.user,
            "status": self.status,
            "cost": self.cost_text,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "images": self.images,
            "vectors": self.vectors,
            "chunks": self.chunks,
            "streamed": self.streamed,
            "cancelled": self.status == "CANCELLED",
            "finish_reason": self.finish_reason,
            "created": self.created,
        }


class Books:
    """The bookings in the order in which they were opened; the oldest of very many are dropped."""

    def __init__(self) -> None:
        self._bookings: OrderedDict[str, Booking] = OrderedDict()

    def open(self, *, model: str, user: str, streamed: bool, prompt_tokens: int, generation_ms: int) -> Booking:
        booking = Booking(f"gen-{uuid.uuid4().hex}", model, user, streamed, prompt_tokens, generation_ms)
        self._bookings[booking.id] = booking
        if len(self._bookings) > KEPT_BOOKINGS:
            self._bookings.popitem(last=False)
        return booking

    def find(self, generation_id: str) -> Booking | None:
        return self._bookings.get(generation_id)

    def entries(self) -> list[dict[str, Any]]:
        return [booking.as_entry() for booking in self._bookings.values()]

    def total(self) -> Decimal:
        return sum((booking.cost for booking in self._bookings.values()), Decimal(0))

    def clear(self) -> None:
        self._bookings.clear()
