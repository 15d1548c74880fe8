"""Users, balances, usage and prices as the people who run an installation see and set them."""
