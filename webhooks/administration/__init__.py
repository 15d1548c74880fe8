"""What administrators do about the outside world, over ``/api/admin/``."""
