"""One settings file for every environment; composes the typed settings classes.

What may differ between machines is a variable of `services/conf.py` or of an app's `conf.py`;
what is written here is the same everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from django.utils.translation import gettext_lazy as _

from sentiment_monitor.conf import MonitorSettings
from services import logs
from services.conf import CoreSettings, load, writable_folder
from services.console.navigation import NAVIGATION
from services.secret_key import read_or_make

CORE = load(CoreSettings)
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = writable_folder(CORE.data_dir.resolve(), "DATA_DIR")

SECRET_KEY = CORE.secret_key.get_secret_value() if CORE.secret_key else read_or_make(DATA_DIR / "secret_key")
DEBUG = CORE.debug
ALLOWED_HOSTS = [host.strip() for host in CORE.allowed_hosts.split(",") if host.strip()]
CSRF_TRUSTED_ORIGINS = [CORE.public_url]
SECURE_COOKIES = CORE.public_url.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_COOKIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]

INSTALLED_APPS = [
    "config",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "ninja",
    "services.console",
    "chatbot",
    "sentiment_monitor",
    "recommender",
    "sample",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

DATABASE_URL = CORE.database_url or f"sqlite:///{DATA_DIR / 'trefoil.sqlite3'}"


def _database(url: str) -> dict[str, Any]:
    parsed: dict[str, Any] = dict(dj_database_url.parse(url))
    if parsed["ENGINE"].endswith("sqlite3"):
        parsed["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    else:
        pool = {"min_size": 1, "max_size": 16, "timeout": 5}
        parsed["OPTIONS"] = {**parsed.get("OPTIONS", {}), "pool": pool}
    return parsed


DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, Any]] = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CORE.redis_url}
        if CORE.redis_url
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    )
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/console/login/"
LOGIN_REDIRECT_URL = "/console/"

LANGUAGE_CODE = CORE.language_code
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
TIME_ZONE = CORE.time_zone
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = CORE.max_upload_mib * 2**20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20

STORAGE_URL = CORE.storage_url or str(DATA_DIR / "files")
STORAGE_OPTIONS: dict[str, Any] = (
    {"endpoint_url": CORE.s3_endpoint_url} if STORAGE_URL.startswith("s3://") and CORE.s3_endpoint_url else {}
)

MONITOR = load(MonitorSettings)
if MONITOR.email_url:
    _email = urlsplit(MONITOR.email_url.get_secret_value())
    EMAIL_HOST, EMAIL_PORT = _email.hostname or "localhost", _email.port or 25
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_email.username or ""), unquote(_email.password or "")
    EMAIL_USE_SSL, EMAIL_USE_TLS = _email.scheme == "smtps", _email.scheme == "smtp+tls"
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DATA_DIR / "outbox"
EMAIL_TIMEOUT = 20

LOGGING_CONFIG = None
logs.configure(CORE.log_level, CORE.log_format)

UNFOLD = {
    "SITE_TITLE": "Trefoil",
    "SITE_HEADER": "Trefoil",
    "SITE_SUBHEADER": _("Operators' console"),
    "SITE_URL": "/shop/",
    "SITE_ICON": "/static/console/trefoil.svg",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/console/trefoil.svg"}],
    "STYLES": ["/static/console/console.css"],
    "SHOW_HISTORY": True,
    "SHOW_LANGUAGES": False,
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(0.975 0.02 155)",
            "100": "oklch(0.945 0.045 155)",
            "200": "oklch(0.885 0.08 155)",
            "300": "oklch(0.80 0.11 155)",
            "400": "oklch(0.69 0.125 155)",
            "500": "oklch(0.57 0.12 155)",
            "600": "oklch(0.475 0.105 155)",
            "700": "oklch(0.405 0.088 155)",
            "800": "oklch(0.345 0.072 155)",
            "900": "oklch(0.29 0.058 155)",
            "950": "oklch(0.21 0.042 155)",
        }
    },
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": NAVIGATION},
}
