"""What the people who run an installation do to users and customers, over ``/api/admin/``."""
