"""Refusals of the settings."""


class MeteredCost(Exception):
    """The price of ``feature`` follows the provider's cost: a flat one in its place could lose money with each call."""

    def __init__(self, feature: str) -> None:
        self.feature = feature
        super().__init__(feature)
