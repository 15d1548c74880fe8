"""
Every setting, read from the environment once. A wrong value stops the process.

``.env.example`` lists each variable with its meaning; a test compares the two.
"""

import os
from pathlib import Path

import environ
from corsheaders.defaults import default_headers

from config.provider_keys import provider_keys

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(os.environ.get("PREPAID_ENV_FILE", BASE_DIR / ".env"))

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data")))

# Safety

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
API_KEY_PEPPER = env.str("API_KEY_PEPPER")
RECEIPT_SIGNING_KEY = env.str("RECEIPT_SIGNING_KEY", default="")
RECEIPT_PUBLIC_KEYS = env.list("RECEIPT_PUBLIC_KEYS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
PORT = env.int("PORT", default=8000)
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{PORT}")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOW_HEADERS = [*default_headers, "Idempotency-Key", "X-Customer-Id", "X-Hold-Id", "X-Request-Id"]
CORS_EXPOSE_HEADERS = [
    "X-Request-Id",
    "X-Generation-Id",
    "X-Credits-Held",
    "X-Credits-Charged",
    "X-Credits-Currency",
    "X-Max-Tokens-Clamped",
    "Retry-After",
    *(f"X-RateLimit-{what}-{unit}" for what in ("Limit", "Remaining", "Reset") for unit in ("Requests", "Tokens")),
]

HTTPS = PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=HTTPS)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"

# Applications

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "accounts",
    "credits",
    "billing",
    "ai",
    "webhooks",
]

MIDDLEWARE = [
    "config.middleware.request_id",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR}/prepaid.sqlite3")}
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=10)
DATABASE_BEHIND_PGBOUNCER = env.bool("DATABASE_BEHIND_PGBOUNCER", default=False)
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE takes the write lock when the transaction begins: SQLite has no row locks,
    # so this is what makes "lock the account, then decide" true there.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = DATABASE_BEHIND_PGBOUNCER
    # Beside what the URL's query says, such as sslmode.
    OPTIONS = DATABASES["default"].setdefault("OPTIONS", {})
    if DATABASE_POOL_SIZE:
        OPTIONS["pool"] = {
            "min_size": 1,
            "max_size": DATABASE_POOL_SIZE,
            "timeout": 10,
        }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# People

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["config.formats"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"

# Sign-in

SERVICE_JWT_SECRET = env.str("SERVICE_JWT_SECRET", default="")
CLERK_JWT_KEY = env.str("CLERK_JWT_KEY", default="", multiline=True)
CLERK_ISSUER = env.str("CLERK_ISSUER", default="")
CLERK_JWKS_URL = env.str("CLERK_JWKS_URL", default="")
CLERK_AUTHORIZED_PARTIES = env.list("CLERK_AUTHORIZED_PARTIES", default=[])
CLERK_REQUIRE_AZP = env.bool("CLERK_REQUIRE_AZP", default=False)
CLERK_SECRET_KEY = env.str("CLERK_SECRET_KEY", default="")
CLERK_API_URL = env.str("CLERK_API_URL", default="https://api.clerk.com/v1")
OIDC_ISSUERS = env.json("OIDC_ISSUERS", default={})
ORGANIZATION_ROLES = env.dict("ORGANIZATION_ROLES", default={"admin": "ADMIN", "member": "MEMBER"})
TRUSTED_PROXY_NETWORKS = env.list("TRUSTED_PROXY_NETWORKS", default=[])
TRUSTED_PROXY_SECRET = env.str("TRUSTED_PROXY_SECRET", default="")
TRUSTED_HOPS = env.list("TRUSTED_HOPS", default=[])
FAILED_SIGN_INS_BY_ACCOUNT = env.int("FAILED_SIGN_INS_BY_ACCOUNT", default=10)
FAILED_SIGN_INS_BY_ADDRESS = env.int("FAILED_SIGN_INS_BY_ADDRESS", default=50)
FAILED_SIGN_INS_WINDOW = env.int("FAILED_SIGN_INS_WINDOW", default=600)

LEAK_REPORT_KEYS = env.json("LEAK_REPORT_KEYS", default={})

# Mail

SIGN_UP_URL = env.str("SIGN_UP_URL", default="")
INVITATION_URL = env.str("INVITATION_URL", default="")
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Prepaid <noreply@localhost>")
# Without a server mails are written to files: nothing is sent unasked, and no token gets into a log.
vars().update(env.email_url("EMAIL_URL", default=f"filemail:///{DATA_DIR}/mail"))
EMAIL_TIMEOUT = 10

# Administrators: who may use /api/admin/, beside staff.

ADMIN_EMAILS = [address.strip().lower() for address in env.list("ADMIN_EMAILS", default=[])]
ADMIN_USER_IDS = env.list("ADMIN_USER_IDS", default=[])

# The provider

OPENROUTER_API_KEY = env.str("OPENROUTER_API_KEY", default="")
OPENROUTER_API_KEYS = provider_keys(env.list("OPENROUTER_API_KEYS", default=[]))
OPENROUTER_BASE_URL = env.str("OPENROUTER_BASE_URL", default="https://openrouter.ai/api/v1")
PROVIDER_CONNECT_TIMEOUT = env.int("PROVIDER_CONNECT_TIMEOUT", default=10)
PROVIDER_IDLE_TIMEOUT = env.int("PROVIDER_IDLE_TIMEOUT", default=120)
PROVIDER_RETRY_SECONDS = env.int("PROVIDER_RETRY_SECONDS", default=5)
PROVIDER_TOTAL_TIMEOUT = env.int("PROVIDER_TOTAL_TIMEOUT", default=900)
ALLOWED_MODELS = env.list("ALLOWED_MODELS", default=[])
DEFAULT_CHAT_MODEL = env.str("DEFAULT_CHAT_MODEL", default="openai/gpt-4o-mini")
DEFAULT_IMAGE_MODEL = env.str("DEFAULT_IMAGE_MODEL", default="google/gemini-2.5-flash-image-preview")

# The gateway

GATEWAY_MAX_BODY_BYTES = env.int("GATEWAY_MAX_BODY_BYTES", default=20 * 1024 * 1024)
CLIENT_WRITE_TIMEOUT = env.int("CLIENT_WRITE_TIMEOUT", default=60)
LEDGER_QUEUE_SIZE = env.int("LEDGER_QUEUE_SIZE", default=4096)
SHUTDOWN_NOTICE_SECONDS = env.int("SHUTDOWN_NOTICE_SECONDS", default=3)
SHUTDOWN_DRAIN_SECONDS = env.int("SHUTDOWN_DRAIN_SECONDS", default=25)
HOLD_LIFETIME_SECONDS = PROVIDER_TOTAL_TIMEOUT + 300

# Answers that are kept, of keys that ask for it

CACHED_ANSWER_PERCENT = env.int("CACHED_ANSWER_PERCENT", default=0)
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "answers": {"OPTIONS": {"MAX_ENTRIES": 200}, **env.cache_url("CACHE_URL", default="locmemcache://answers")},
}

# Guard rails

MODERATOR = env.str("MODERATOR", default="")
MODERATION_BASE_URL = env.str("MODERATION_BASE_URL", default="https://api.openai.com/v1")
MODERATION_API_KEY = env.str("MODERATION_API_KEY", default="")
MODERATION_MODEL = env.str("MODERATION_MODEL", default="omni-moderation-latest")
MODERATION_TIMEOUT = env.int("MODERATION_TIMEOUT", default=10)
MODERATION_FAILS_OPEN = env.bool("MODERATION_FAILS_OPEN", default=False)

# Webhooks

CLERK_WEBHOOK_SECRETS = env.list("CLERK_WEBHOOK_SECRETS", default=[])
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRETS", default=[])

# The API

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
HEAD_TIMEOUT = env.int("HEAD_TIMEOUT", default=10)
BODY_IDLE_TIMEOUT = env.int("BODY_IDLE_TIMEOUT", default=10)
BODY_TOTAL_TIMEOUT = env.int("BODY_TOTAL_TIMEOUT", default=120)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.CredentialAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.MayReadOrManage"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "accounts.schema.Schema",
    "DEFAULT_PAGINATION_CLASS": "accounts.pagination.PageNumberPagination",
    "EXCEPTION_HANDLER": "config.api.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "ENUM_NAME_OVERRIDES": {
        "HoldStatus": "credits.models.Hold.Status",
        "InvitationStatus": "accounts.teams.serializers.STATUSES",
        "SignUpStatus": "accounts.administration.invitations.services.STATUSES",
        "GivenRole": "accounts.teams.serializers.GIVEN_ROLES",
        "Role": "accounts.models.Membership.Role",
        "EntryKind": "credits.models.LedgerEntry.Kind",
        "CustomerKind": "accounts.models.Customer.Kind",
        "KeyStatus": "billing.keys.filters.STATUSES",
        "KeyMode": "accounts.models.ApiKey.Mode",
        "KeyScope": "accounts.models.ApiKey.Scope",
        "BudgetPeriod": "accounts.models.ApiKey.Period",
        "BillingSource": "billing.models.Plan.Source",
        "GrantCategory": "credits.models.Grant.Category",
        "UsageType": "billing.administration.usage.reading.TYPES",
        "UserState": "billing.administration.users.reading.STATUSES",
        "GivenCategory": "credits.administration.adjustments.serializers.GIVEN",
        "Currency": "credits.models.Currency",
        "GivenCurrency": "credits.administration.adjustments.serializers.GIVEN_IN",
        "UsageStatus": "billing.models.UsageRecord.Status",
    },
    "TITLE": "Prepaid",
    "DESCRIPTION": "The credit ledger and AI gateway between your users and the model providers.",
    "VERSION": "0.1.0",
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}},
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    # What a change must have, its serializer says.
    "COMPONENT_SPLIT_PATCH": False,
    "GET_LIB_DOC_EXCLUDES": "accounts.schema.bases",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.schema.add_failures",
        "config.schema.add_gateway",
        "config.schema.drop_read_only",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# The admin

UNFOLD = {
    "SITE_TITLE": "Prepaid",
    "SITE_HEADER": "Prepaid",
    "SITE_SYMBOL": "toll",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "config.console.favicon"}],
    "SHOW_VIEW_ON_SITE": False,
    "LOGIN": {"form": "config.sign_in.SignInForm"},
    "DASHBOARD_CALLBACK": "config.console.overview",
    "SIDEBAR": {"navigation": "config.console.navigation"},
    "STYLES": ["config.console.stylesheet"],
    "COLORS": {
        "primary": {
            "50": "oklch(96.2% .018 272.3)",
            "100": "oklch(93% .034 272.8)",
            "200": "oklch(87% .065 274)",
            "300": "oklch(78.5% .115 274.7)",
            "400": "oklch(67.3% .182 276.9)",
            "500": "oklch(58.5% .233 277.1)",
            "600": "oklch(51.1% .262 277)",
            "700": "oklch(45.7% .24 277)",
            "800": "oklch(39.8% .195 277.4)",
            "900": "oklch(35.9% .144 278.7)",
            "950": "oklch(25.7% .09 281.3)",
        },
    },
}

# Logs: one line of JSON an event, without bodies, keys or addresses.

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logging.json_formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"level": "WARNING"},
        # Has a handler of its own that blanks nothing out.
        "uvicorn": {"handlers": ["console"], "propagate": False},
        "uvicorn.access": {"level": "WARNING"},
    },
}
