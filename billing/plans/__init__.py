"""The catalogue of plans: what can be subscribed to, for everybody to read and for administrators to change."""
