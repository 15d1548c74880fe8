"""The mails that people get about teams, keys and signing up: text, and the same in HTML."""

import logging
import smtplib
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from accounts.models import ApiKey, Invitation, SignUpInvitation

logger = logging.getLogger(__name__)


def send_invitation(invitation: Invitation, token: str) -> bool:
    """Send ``token`` to whom the invitation is for, and say whether the mail was handed over."""
    by = invitation.invited_by
    url = settings.INVITATION_URL.replace("{token}", token)
    context = {
        "team": one_line(invitation.customer.name),
        "by": one_line(by.name or by.email or "") if by is not None else "",
        "role": invitation.get_role_display().replace("_", " ").lower(),
        "token": token,
        "url": url,
        "expires_at": invitation.expires_at,
    }
    return _send("invitation", f"Join {context['team']}", invitation.email, context)


def send_sign_up(invitation: SignUpInvitation) -> bool:
    """Send an invitation to sign up, and say whether the mail was handed over."""
    by = invitation.invited_by
    context = {
        "name": one_line(invitation.name),
        "by": one_line(by.name or by.email or "") if by is not None else "",
        "url": settings.SIGN_UP_URL.replace("{email}", quote(invitation.email, safe="")),
    }
    return _send("sign_up", "You are invited", invitation.email, context)


def send_leak(key: ApiKey, to: str, *, source: str) -> bool:
    """Tell ``to`` that a key was found in public and revoked. Says whether the mail was handed over."""
    context = {
        "name": one_line(key.name),
        "masked": key.masked,
        "customer": one_line(key.customer.name),
        "source": one_line(source),
        "revoked_at": key.revoked_at,
    }
    return _send("leaked_key", f"The API key {context['masked']} was found in public and revoked", to, context)


def one_line(text: str) -> str:
    """What people have called something, as it can stand in a subject."""
    return " ".join(text.split())[:200]


def _send(template: str, subject: str, to: str, context: dict[str, Any]) -> bool:
    message = EmailMultiAlternatives(subject, render_to_string(f"email/{template}.txt", context), to=[to])
    message.attach_alternative(render_to_string(f"email/{template}.html", context), "text/html")
    try:
        return message.send() == 1
    except (OSError, smtplib.SMTPException) as error:
        logger.warning("A mail could not be sent.", extra={"template": template, "reason": type(error).__name__})
        return False
