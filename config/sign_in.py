"""
The admin's sign-in, throttled like every other.

A password can be guessed, so here even the right one is refused while too many wrong ones came before it. That would
let anybody lock an operator out, so a browser in which the operator has signed in before has a count of its own.
"""

import secrets
import unicodedata
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from unfold.forms import AuthenticationForm

from accounts import addresses, throttling

COOKIE = "signed_in_before"
COOKIE_SECONDS = 180 * 24 * 3600
LONGEST_NAME = 254
#: Where the form finds how long to wait.
WAIT = "sign_in_wait_seconds"


class SignInForm(AuthenticationForm):
    """Looks at no password while the sign-in is throttled."""

    def clean(self) -> Any:
        wait = getattr(self.request, WAIT, 0)
        if wait:
            raise ValidationError(f"Too many failed sign-ins. Try again in {wait} seconds.", code="throttled")
        return super().clean()


def sign_in(request: HttpRequest) -> HttpResponse:
    """The sign-in page. A try counts as a failure until it has succeeded, so that many at once are no way around."""
    if request.method != "POST":
        return admin.site.login(request)
    now = timezone.now()
    name = unicodedata.normalize("NFKC", request.POST.get("username", "")).strip().lower()[:LONGEST_NAME]
    attempt = attempt_of(request, name)
    wait = throttling.seconds(throttling.fail(attempt, now=now))
    setattr(request, WAIT, wait)
    response = admin.site.login(request)
    if wait:
        response.status_code = 429
        response.headers["Retry-After"] = str(wait)
    elif response.status_code == 302:
        throttling.take_back(attempt, now=now)
        remember_browser(response, name)
    return response


def attempt_of(request: HttpRequest, name: str) -> throttling.Attempt:
    """Return whom and what the try counts for: the browser alone, if ``name`` has signed in with it before."""
    try:
        browser, _, known = str(request.get_signed_cookie(COOKIE, "", max_age=COOKIE_SECONDS)).partition(" ")
    except BadSignature:
        browser, known = "", ""
    if browser and known == _digest(name):
        return throttling.Attempt(f"browser:{browser}")
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "")
    address = addresses.client_address(request.META.get("REMOTE_ADDR", ""), hops, settings.TRUSTED_HOPS)
    return throttling.Attempt(f"operator:{name}" if name else "", address)


def remember_browser(response: HttpResponse, name: str) -> None:
    response.set_signed_cookie(
        COOKIE,
        f"{secrets.token_hex(16)} {_digest(name)}",
        max_age=COOKIE_SECONDS,
        path="/admin/login/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _digest(name: str) -> str:
    """Who reads the cookie learns no address."""
    return salted_hmac(COOKIE, name, algorithm="sha256").hexdigest()
