"""Publishing prices: what a new one changes is shown before it counts."""
