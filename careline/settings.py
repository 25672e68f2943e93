"""Careline's one settings file. Every value comes from the environment, with a default for one machine and SQLite.

Each is told in docs/operate.md.

CARELINE_HOME           folder of the database, the secrets and what the sandbox writes (default: ./var; ./var/demo in the demo)
CARELINE_DATABASE_URL   postgresql://user:password@host:port/name?sslmode=verify-full (default: SQLite in CARELINE_HOME); several
                        servers of which one writes: host1:port1,host2:port2 and target_session_attrs=read-write
CARELINE_HOSTS          names this desk answers to, comma-separated (default: localhost,127.0.0.1,[::1])
CARELINE_ORIGINS        origins with scheme from which forms may come; the first is this desk's address in texts
CARELINE_TLS            1: reached over TLS (secure cookies, HSTS); the deployment check wants it
CARELINE_HSTS           plain, subdomains or preload: how far HSTS reaches when TLS is on (default: plain)
CARELINE_PROXIES        how many proxies in front of the desk add to X-Forwarded-For (default: 0, it is not read)
CARELINE_MESSENGER      who carries messages: dotted path of a class, or sandbox (default: nobody; sandbox in the demo)
CARELINE_PAYMENTS       who takes payments: dotted path of a class, or sandbox (default: nobody; sandbox in the demo)
CARELINE_NETWORK        who carries out orders on lines: dotted path of a class, or sandbox (default as above)
CARELINE_DEVICES        who knows how phones are doing: dotted path of a class, or sandbox (default as above)
CARELINE_SANDBOX_MS     how long the sandbox network takes for an order, in milliseconds (default: 0)
CARELINE_FEED           where changes are told to other systems: an https:// address, or a folder (default: nowhere)
CARELINE_CARRIER        the carrier's name as customers read it (default: Your carrier; Fernline Wireless in the demo)
CARELINE_ZONE           the carrier's time zone (default: America/New_York)
CARELINE_RULEBOOK       folder of the rulebook that a new database starts with (default: rulebook/default)
CARELINE_OIDC_SERVER, CARELINE_OIDC_CLIENT, CARELINE_OIDC_SECRET
                        single sign-on: the provider's address (issuer), and this desk's id and secret there (default: none)
CARELINE_OIDC_NAME      what the provider is called on the sign-in page (default: single sign-on)
CARELINE_OIDC_SCOPES    what is asked of it (default: openid profile email)
CARELINE_OIDC_SECOND_FACTOR  1: that provider asks for a second factor itself, and the desk for none more
CARELINE_IDLE_MINUTES   minutes without a request after which a session ends (default: 30)
CARELINE_LOG_LEVEL      DEBUG, INFO, WARNING, ERROR or CRITICAL (default: WARNING); INFO has a line for each request and each act
CARELINE_LOG_FORMAT     plain or json: one JSON object a line (default: plain)
CARELINE_TRACES         where spans go: the address of an OpenTelemetry collector (default: nowhere)
CARELINE_DEMO           1: the demo carrier's pages (messages, rings) and passwords are there
CARELINE_WEB_KEY, CARELINE_JOURNAL_KEY, CARELINE_DIGEST_KEY, CARELINE_PEPPER
                        the secrets (default: files in CARELINE_HOME/secrets, made at first use)

Read elsewhere: CARELINE_ANCHORS, the anchor file (doors/jobs/journals.py); CARELINE_TRACE, 1 shows where a command broke.
"""

from __future__ import annotations

import os
import secrets
import urllib.parse
import zoneinfo
from collections.abc import Collection
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent


def text(name: str, default: str = "") -> str:
    return os.environ.get(f"CARELINE_{name}", default)


def flag(name: str, default: bool = False) -> bool:
    return text(name, "1" if default else "0").lower() in {"1", "true", "yes", "on"}


def number(name: str, default: int, least: int = 0) -> int:
    given = text(name) or str(default)
    if not given.isdecimal() or int(given) < least:
        raise ImproperlyConfigured(f"CARELINE_{name} is {given!r}. Give a whole number from {least}, or leave it out for {default}.")
    return int(given)


def one_of(name: str, default: str, known: Collection[str]) -> str:
    given = text(name) or default
    if given not in known:
        say = f"one of {', '.join(known)}" if len(known) < 10 else f"one like {default}"
        raise ImproperlyConfigured(f"CARELINE_{name} is {given!r}. Give {say}, or leave it out for {default}.")
    return given


DEMO = flag("DEMO")


def home() -> Path:
    """A house of one's own is ./var, the demo ./var/demo. A demo that an older version made in ./var stays until its reset."""
    if text("HOME"):
        return Path(text("HOME")).resolve()
    own, demo = ROOT / "var", ROOT / "var" / "demo"
    old = (own / "demo-house").exists() and not (demo / "demo-house").exists()
    return demo if DEMO and not old else own


HOME = home()


MADE: list[str] = []  # secrets that were not there and that this process made (`setup.check_keys`)


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
            MADE.append(name)
    return path.read_text().strip()


# What may stand after the `?` of a database's address besides its socket: TLS, and how long to wait for whom.
POSTGRESQL_OPTIONS = {
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation", "ssl_min_protocol_version", "channel_binding",
    "require_auth", "gssencmode", "passfile", "connect_timeout", "tcp_user_timeout", "keepalives", "keepalives_idle",
    "keepalives_interval", "keepalives_count", "target_session_attrs", "application_name",
}  # fmt: skip


def _servers(netloc: str) -> tuple[str, str]:
    """Hosts and ports of one server or of several (`db1:5432,db2:5432`), as libpq takes them. Raises ValueError."""
    found = [urllib.parse.urlsplit(f"//{one}") for one in netloc.split(",")]
    ports = [str(one.port or "") for one in found]
    return ",".join(one.hostname or "" for one in found), ",".join(ports) if any(ports) else ""


def database() -> dict[str, Any]:
    url = text("DATABASE_URL")
    if not url:
        return {
            "ENGINE": "careline.sqlite",
            "NAME": HOME / "careline.sqlite3",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                # No index for one question: where a column is nearly always empty (which bill corrects which), ANALYZE makes SQLite believe
                # that its own index finds nothing, and it would sort the whole table for each page.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; PRAGMA automatic_index=OFF;",
            },
        }
    parts = urllib.parse.urlsplit(url)
    try:
        hosts, ports = _servers(parts.netloc.rpartition("@")[2])
        options = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as fault:
        raise ImproperlyConfigured(f"CARELINE_DATABASE_URL cannot be read ({fault}); percent-encode what is special in it.") from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ImproperlyConfigured("CARELINE_DATABASE_URL begins with postgresql://; leave it out for SQLite.")
    socket = options.pop("host", "")
    unknown = sorted(options.keys() - POSTGRESQL_OPTIONS)
    if unknown:
        known = ", ".join(sorted(POSTGRESQL_OPTIONS | {"host"}))
        raise ImproperlyConfigured(f"CARELINE_DATABASE_URL has {', '.join(unknown)} after its ?, which is not known. Known are: {known}.")
    return {
        "ENGINE": "careline.postgresql",
        "NAME": urllib.parse.unquote(parts.path.lstrip("/")),
        "USER": urllib.parse.unquote(parts.username or ""),
        "PASSWORD": urllib.parse.unquote(parts.password or ""),
        "HOST": hosts or socket,
        "PORT": ports,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,  # a connection that a restart or a failover ended is made anew before anybody notices
        "OPTIONS": {"application_name": "careline", **options},
    }


DEBUG = False
DEMO_PASSWORD = "careline demo"
TLS = flag("TLS")
SECRET_KEY = secret("web_key")
JOURNAL_KEY = secret("journal_key").encode()
DIGEST_KEY = secret("digest_key").encode()
PEPPER = secret("pepper").encode()
ALLOWED_HOSTS = [h.strip() for h in text("HOSTS", "localhost,127.0.0.1,[::1]").split(",") if h.strip()]
CSRF_TRUSTED_ORIGINS = [o.strip().rstrip("/") for o in text("ORIGINS").split(",") if o.strip()]
# Where customers and colleagues find this desk from outside, for addresses in texts.
ADDRESS = CSRF_TRUSTED_ORIGINS[0] if CSRF_TRUSTED_ORIGINS else f"http{'s' if TLS else ''}://{ALLOWED_HOSTS[0].lstrip('.*') or 'localhost'}"
MESSENGER = text("MESSENGER", "sandbox" if DEMO else "")
PAYMENTS = text("PAYMENTS", "sandbox" if DEMO else "")
NETWORK = text("NETWORK", "sandbox" if DEMO else "")
DEVICES = text("DEVICES", "sandbox" if DEMO else "")
CARRIER_NAME = text("CARRIER") or ("Fernline Wireless" if DEMO else "Your carrier")
CARRIER_ZONE = one_of("ZONE", "America/New_York", zoneinfo.available_timezones())
RULEBOOK_FOLDER = Path(text("RULEBOOK", str(ROOT / "rulebook" / "default")))
ALLAUTH_TRUSTED_PROXY_COUNT = number("PROXIES", 0)  # whose word on the caller's address is believed, by all that throttles
SIGN_IN_FAILURES = "10/m/ip,5/5m/key"
IDLE_MINUTES = number("IDLE_MINUTES", 30, least=1)
SANDBOX_MS = number("SANDBOX_MS", 0)
FEED = text("FEED")

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
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "careline.domain.journal",
    "careline.domain.rulebook",
    "careline.domain.staff",
    "careline.domain.customers",
    "careline.domain.ledger",
    "careline.domain.network",
    "careline.domain.contacts",
    "careline.domain.approvals",
    "careline.domain.credits",
    "careline.domain.arrangements",
    "careline.domain.activations",
    "careline.domain.billing",
    "careline.domain.collections",
    "careline.domain.diagnosis",
    "careline.domain.oversight",
    "careline.doors",
]
MIDDLEWARE = [
    "careline.doors.observed.Observed",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "careline.doors.access.Probes",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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
                "careline.doors.web.render.csrf",
                "careline.doors.web.render.desk",
            ],
        },
    },
    # allauth's and Django's own code asks for this backend; no page of ours is drawn with it.
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Counters of failed sign-ins and of unknown tokens, shared by all processes. Above MAX_ENTRIES those that have ended go
# first, and living ones only when there are more than that many: a flood must not make room for itself.
CACHES = {
    "default": {"BACKEND": "careline.doors.web.counters.Counters", "LOCATION": "web_cache", "OPTIONS": {"MAX_ENTRIES": 50_000}}
}

AUTH_USER_MODEL = "staff.Staff"
AUTHENTICATION_BACKENDS = ["careline.doors.sessions.Backend"]
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
MFA_ADAPTER = "careline.doors.web.factors.Adapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1  # a phone's clock may be half a minute off
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not TLS  # browsers themselves allow it on localhost only
# Who needs a second factor is in the rulebook (sign_in.toml). In the demo nobody does: its passwords are on the page.
SECOND_FACTORS = not DEMO
# Single sign-on with the carrier's own provider. Which groups are which role is in the rulebook too.
OIDC_SERVER = text("OIDC_SERVER").rstrip("/")
OIDC_NAME = text("OIDC_NAME") or "single sign-on"
OIDC_SECOND_FACTOR = flag("OIDC_SECOND_FACTOR")
if OIDC_SERVER and not (urllib.parse.urlsplit(OIDC_SERVER).scheme in ("https", "http") and text("OIDC_CLIENT") and text("OIDC_SECRET")):
    raise ImproperlyConfigured("CARELINE_OIDC_SERVER is the address of a provider (https://…), and wants CARELINE_OIDC_CLIENT and CARELINE_OIDC_SECRET beside it.")
SOCIALACCOUNT_ADAPTER = "careline.doors.web.single.Adapter"
SOCIALACCOUNT_LOGIN_ON_GET = True  # our own door takes POST only
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "SCOPE": text("OIDC_SCOPES", "openid profile email").split(),
        "APPS": [{
            "provider_id": "single", "name": OIDC_NAME, "client_id": text("OIDC_CLIENT"), "secret": text("OIDC_SECRET"),
            "settings": {"server_url": OIDC_SERVER},
        }],
    }
}  # fmt: skip
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in"

SESSION_ENGINE = "careline.doors.sessions"
SESSION_COOKIE_NAME = "careline_session"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "careline_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "careline.doors.web.oops.csrf_failure"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SECURE_SSL_REDIRECT = TLS
SECURE_REDIRECT_EXEMPT = [r"^(health|ready)$"]
SECURE_HSTS_SECONDS = 31536000 if TLS else 0
HSTS = one_of("HSTS", "plain", ("plain", "subdomains", "preload"))
SECURE_HSTS_INCLUDE_SUBDOMAINS = TLS and HSTS != "plain"
SECURE_HSTS_PRELOAD = TLS and HSTS == "preload"
# Whether every name below this one, and browsers that never came here, are bound to TLS is the carrier's to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
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
        "form-action": [SELF, *(["{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(OIDC_SERVER))] if OIDC_SERVER else [])],
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

TRACES = text("TRACES")
LOG_FORMAT = one_of("LOG_FORMAT", "plain", ("plain", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"} if LOG_FORMAT == "plain" else {"()": "careline.telemetry.JsonLines"},
        "line": {"()": "careline.doors.jobs.weblog.first_line", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain"},
        "line": {"class": "logging.StreamHandler", "formatter": "line"},
    },
    "root": {"handlers": ["stderr"], "level": one_of("LOG_LEVEL", "WARNING", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))},
    # Django's request lines carry paths and, on errors, whole forms: what a customer said has no place in a log.
    "loggers": {"django.request": {"level": "CRITICAL"}, "django.security": {"level": "ERROR", "handlers": ["line"], "propagate": False}},
}
