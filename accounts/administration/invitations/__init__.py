"""People who are asked to sign up: by mail, sent again, taken back."""
