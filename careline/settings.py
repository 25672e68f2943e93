"""Careline's one settings file. Every value comes from the environment, with a default for one machine and SQLite.

CARELINE_HOME           folder of the database, the secrets and what the sandbox writes (default: ./var)
CARELINE_DATABASE_URL   postgresql://user:password@host:port/name (default: SQLite in CARELINE_HOME)
CARELINE_DEMO           1: the demo carrier's pages (messages, rings) are there
CARELINE_HOSTS          names this desk answers to, comma-separated (default: localhost,127.0.0.1)
CARELINE_TLS            1: reached over TLS (secure cookies, HSTS); the deployment check wants it
CARELINE_ZONE           the carrier's time zone (default: America/New_York)
CARELINE_RULEBOOK       folder of the rulebook that a new database starts with (default: rulebook/default)
"""

from __future__ import annotations

import os
import secrets
import urllib.parse
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

ROOT = Path(__file__).resolve().parent.parent


def text(name: str, default: str = "") -> str:
    return os.environ.get(f"CARELINE_{name}", default)


def flag(name: str, default: bool = False) -> bool:
    return text(name, "1" if default else "0").lower() in {"1", "true", "yes", "on"}


def number(name: str, default: int) -> int:
    return int(text(name, str(default)))


HOME = Path(text("HOME", str(ROOT / "var"))).resolve()


def secret(name: str) -> str:
    """A secret from the environment or from CARELINE_HOME/secrets, made there at first use (readable by us only)."""
    given = text(name.upper())
    if given:
        return given
    path = HOME / "secrets" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
    return path.read_text().strip()


def database() -> dict[str, Any]:
    url = text("DATABASE_URL")
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": HOME / "careline.sqlite3",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
            },
        }
    parts = urllib.parse.urlsplit(url)
    return {
        "ENGINE": "careline.postgresql",
        "NAME": urllib.parse.unquote(parts.path.lstrip("/")),
        "USER": urllib.parse.unquote(parts.username or ""),
        "PASSWORD": urllib.parse.unquote(parts.password or ""),
        "HOST": parts.hostname or urllib.parse.parse_qs(parts.query).get("host", [""])[0],
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": None,
        "OPTIONS": {"application_name": "careline"},
    }


DEBUG = False
DEMO = flag("DEMO")
DEMO_PASSWORD = "careline demo"
TLS = flag("TLS")
SECRET_KEY = secret("web_key")
JOURNAL_KEY = secret("journal_key").encode()
DIGEST_KEY = secret("digest_key").encode()
PEPPER = secret("pepper").encode()
ALLOWED_HOSTS = [h.strip() for h in text("HOSTS", "localhost,127.0.0.1,[::1]").split(",") if h.strip()]
CSRF_TRUSTED_ORIGINS = [o for o in text("ORIGINS").split(",") if o]
CARRIER_NAME = text("CARRIER", "Fernline Wireless")
CARRIER_ZONE = text("ZONE", "America/New_York")
RULEBOOK_FOLDER = Path(text("RULEBOOK", str(ROOT / "rulebook" / "default")))
SIGN_IN_FAILURES = "10/m/ip,5/5m/key"
IDLE_MINUTES = number("IDLE_MINUTES", 30)

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "careline.domain.journal",
    "careline.domain.rulebook",
    "careline.domain.staff",
    "careline.domain.customers",
    "careline.domain.ledger",
    "careline.domain.contacts",
    "careline.domain.approvals",
    "careline.domain.credits",
    "careline.doors",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "careline.doors.access.Access",
]
ROOT_URLCONF = "careline.urls"
WSGI_APPLICATION = "careline.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [ROOT / "careline" / "doors" / "web" / "templates"],
        "OPTIONS": {
            "environment": "careline.doors.web.render.environment",
            "context_processors": [
                "django.contrib.messages.context_processors.messages",
                "careline.doors.web.render.desk",
            ],
        },
    },
    # allauth's and Django's own code asks for this backend; no page of ours is drawn with it.
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "web_cache"}}

AUTH_USER_MODEL = "staff.Staff"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "careline.doors.web.signin.Adapter"
ACCOUNT_RATE_LIMITS = {"login_failed": SIGN_IN_FAILURES, "login": "60/m/ip"}
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_USER_DISPLAY = str
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in"

SESSION_COOKIE_NAME = "careline_session"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "careline_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "careline.doors.web.oops.csrf_failure"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SECURE_SSL_REDIRECT = TLS
SECURE_HSTS_SECONDS = 31536000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = HOME / "static"
STATICFILES_DIRS = [ROOT / "careline" / "doors" / "web" / "static"]
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
DATA_UPLOAD_MAX_MEMORY_SIZE = 512_000

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": text("LOG_LEVEL", "WARNING")},
    # Django's request lines carry paths and, on errors, whole forms: what a customer said has no place in a log.
    "loggers": {"django.request": {"level": "CRITICAL"}, "django.security": {"level": "ERROR"}},
}
