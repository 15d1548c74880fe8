"""What Clerk knows, read from its Backend API: for people and teams from before the webhooks, or missed by them."""
