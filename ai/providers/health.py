"""Whether one of several keys is worth trying: it rests after failures that another may not meet. Pure."""

from ai import errors

#: Seconds that a key rests after its first failure of a kind. Each further one doubles them, up to ``LONGEST_REST``.
REFUSED_REST, BUSY_REST, BROKEN_REST = 60.0, 1.0, 5.0
LONGEST_REST = 300.0
#: So many failures in a row that may be the model's are taken for the key's.
FAILURES_OF_MODELS = 3


class Health:
    """
    A circuit breaker that only prefers others: where all rest, whose rest ends first is tried all the same.

    A key that has rested is tried again in its turn; one answer makes it well.
    """

    __slots__ = ("failures", "rests_until")

    def __init__(self) -> None:
        self.failures = 0
        self.rests_until = 0.0

    def is_awake(self, now: float) -> bool:
        return self.rests_until <= now

    def succeeded(self) -> None:
        self.failures, self.rests_until = 0, 0.0

    def failed(self, error: errors.ProviderError, *, now: float) -> float:
        """Return for how many seconds the key rests from ``now`` on; 0 where ``error`` says nothing of the key."""
        first, forgiven = _rest_after(error)
        if not first:
            return 0.0
        self.failures += 1
        rest = min(first * 2 ** max(0, self.failures - 1 - forgiven), LONGEST_REST) if self.failures > forgiven else 0.0
        self.rests_until = max(self.rests_until, now + rest)
        return rest


def _rest_after(error: errors.ProviderError) -> tuple[float, int]:
    """Return the seconds of a first rest, and how many failures before it count for nothing."""
    match error:
        case errors.ProviderRefused():
            return 0.0, 0
        case errors.ProviderMisconfigured() | errors.ProviderUnfunded():
            return REFUSED_REST, 0
        case errors.ProviderBusy():
            return max(BUSY_REST, float(error.headers.get("Retry-After", 0))), 0
        case _:
            return BROKEN_REST, FAILURES_OF_MODELS - 1
