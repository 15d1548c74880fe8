"""
The settings of the tests, of mypy and of the migrations check.

Nothing of a developer's ``.env`` or shell reaches them but ``DATABASE_URL``: without one
the tests run on SQLite, in a file, because threads and server processes share it.
"""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

KEPT = {"DATABASE_URL"}
EXAMPLE = Path(__file__).resolve().parent.parent / ".env.example"

for name in set(re.findall(r"^#? ?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE)) - KEPT:
    os.environ.pop(name, None)
os.environ["PREPAID_ENV_FILE"] = os.devnull
os.environ["SECRET_KEY"] = "the secret key of the tests, long enough for every check that asks"
os.environ["API_KEY_PEPPER"] = "the pepper of the tests, long enough for every check that asks"
os.environ["RECEIPT_SIGNING_KEY"] = "of-the-tests-where-it-is-no-secret-at-all4Q"
os.environ["DATABASE_POOL_SIZE"] = "0"

# Tests fail to sign in more often than anybody may; those of the throttle switch it on.
os.environ["FAILED_SIGN_INS_BY_ACCOUNT"] = os.environ["FAILED_SIGN_INS_BY_ADDRESS"] = "0"

from config.settings import *  # noqa: E402, F403  (the environment comes first)
from config.settings import DATABASES, INSTALLED_APPS  # noqa: E402

# First, so that its ``flush`` is the one that Django finds.
INSTALLED_APPS = ["tests", *INSTALLED_APPS]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# What names the models stays when the database is emptied (``tests.management.commands.flush``).
TEST_NON_SERIALIZED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
# Looked for when asked for, so that nobody has to collect them.
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A process has its own file, so that several runs stay out of each other's way, and of a developer's data.
    DATABASES["default"]["NAME"] = ":memory:"
    directory = tempfile.mkdtemp(prefix="prepaid-test-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    DATABASES["default"]["TEST"] = {"NAME": f"{directory}/prepaid.sqlite3"}
