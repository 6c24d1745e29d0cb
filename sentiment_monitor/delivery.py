"""The outbox: an alert's emails are rows first, then messages; retried, and given up with a reason.

A message says why now before anything else, shows the picture, names the stories with their sources,
and has one button. It is complete in plain text. Times are UTC.
"""

from __future__ import annotations

import smtplib
from datetime import datetime, timedelta
from email.mime.image import MIMEImage

from django.core.mail import EmailMultiAlternatives
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sentiment_monitor.charts import alert_chart_png
from sentiment_monitor.evidence import Evidence
from sentiment_monitor.models import Alert, Delivery, Recipient
from services.logs import get_logger

log = get_logger(__name__)
MAX_ATTEMPTS = 8


def enqueue(alert: Alert, now: datetime) -> None:
    """Write the alert's messages, in the transaction of the alert; one for each recipient, once."""
    Delivery.objects.bulk_create(
        [
            Delivery(alert=alert, address=to.address, language=to.language, next_try_at=now)
            for to in Recipient.objects.filter(enabled=True)
        ],
        ignore_conflicts=True,
    )


def due(now: datetime, lease: timedelta) -> list[int]:
    """Messages to be sent now that no worker holds."""
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - lease)
    found = Delivery.objects.filter(free, state=Delivery.State.QUEUED, next_try_at__lte=now)
    return list(found.order_by("next_try_at").values_list("pk", flat=True)[:100])


def claim(delivery_id: int, now: datetime, lease: timedelta) -> Delivery | None:
    """Take a message; None when another worker has it or it is sent."""
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - lease)
    taken = Delivery.objects.filter(free, pk=delivery_id, state=Delivery.State.QUEUED).update(claimed_at=now)
    return Delivery.objects.select_related("alert__company").get(pk=delivery_id) if taken else None


def send(delivery: Delivery, evidence: Evidence, *, public_url: str, sender: str, now: datetime) -> bool:
    """Send one claimed message; True when the server took it.

    A permanent refusal (5xx for this address) is given up at once; anything else is tried again,
    later each time, MAX_ATTEMPTS times in all.
    """
    message = compose(delivery, evidence, public_url=public_url, sender=sender)
    try:
        message.send()
    except Exception as error:  # every backend has errors of its own; each is kept with its reason
        _not_sent(delivery, error, now)
        return False
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.SENT, sent_at=now, last_error="", claimed_at=None, attempts=delivery.attempts + 1
    )
    return True


def compose(
    delivery: Delivery, evidence: Evidence, *, public_url: str, sender: str
) -> EmailMultiAlternatives:
    """The email in the recipient's language: text, HTML, and the chart as an inline picture."""
    alert = delivery.alert
    with translation.override(delivery.language):
        context = {
            "alert": alert,
            "evidence": evidence,
            "why": why_now(alert),
            "clears": _("The alert is over when the hourly rate has been back to usual for twelve hours."),
            "alert_url": public_url + reverse("monitor-alert", args=[alert.pk]),
            "acknowledge_url": public_url + reverse("monitor-acknowledge", args=[alert.token]),
            "language": delivery.language,
        }
        message = EmailMultiAlternatives(
            subject=subject(alert),
            body=render_to_string("sentiment_monitor/email/alert.txt", context),
            from_email=sender,
            to=[delivery.address],
            headers={
                "Message-ID": f"<alert-{alert.pk}-{delivery.pk}@trefoil>",
                "Auto-Submitted": "auto-generated",
            },
        )
        html = render_to_string("sentiment_monitor/email/alert.html", context)
        picture = MIMEImage(alert_chart_png(evidence, alert), "png")
    picture.add_header("Content-ID", "<chart>")
    picture.add_header("Content-Disposition", "inline", filename="chart.png")
    message.attach_alternative(html, "text/html")
    message.mixed_subtype = "related"  # type: ignore[attr-defined]
    message.attach(picture)
    return message


def send_test(recipient: Recipient, sender: str) -> str:
    """Send a short message now; what went wrong, or an empty string."""
    with translation.override(recipient.language):
        message = EmailMultiAlternatives(
            subject=_("Trefoil: a test"),
            body=_("This is a test. Alerts about surging negative news will come to this address."),
            from_email=sender,
            to=[recipient.address],
        )
    try:
        message.send()
    except Exception as error:  # every backend has errors of its own; the operator is told
        return f"{type(error).__name__}: {error}"[:300]
    return ""


def subject(alert: Alert) -> str:
    """Severity, company, what: "Negative surge: Acme, 14 negative stories in 3 h, expected 2"."""
    seen = ngettext("%(n)d negative story", "%(n)d negative stories", round(alert.observed)) % {
        "n": round(alert.observed)
    }
    return _("%(kind)s: %(company)s, %(seen)s in %(hours)d h, expected %(expected)s") % {
        "kind": alert.get_kind_display(),
        "company": alert.company.name,
        "seen": seen,
        "hours": alert.window_h,
        "expected": expected_in_words(alert),
    }


def expected_in_words(alert: Alert) -> str:
    """How many stories the window has as a rule; a number next to nothing is said to be that."""
    return f"{alert.expected:.1f}" if alert.expected >= 0.1 else _("fewer than 0.1")


def why_now(alert: Alert) -> str:
    """The first line: what is unusual, in numbers."""
    if alert.kind == Alert.Kind.VOLUME_SURGE:
        return _(
            "%(company)s had %(observed)d stories within %(hours)d hours, where about %(expected)s are "
            "usual; the share of negative ones is no higher than as a rule."
        ) % {
            "company": alert.company.name,
            "observed": round(alert.observed),
            "hours": alert.window_h,
            "expected": expected_in_words(alert),
        }
    return _(
        "%(company)s had %(observed)d negative stories within %(hours)d hours, where about %(expected)s are "
        "usual; %(share)d %% of its news is negative, %(usual)d %% as a rule."
    ) % {
        "company": alert.company.name,
        "observed": round(alert.observed),
        "hours": alert.window_h,
        "expected": expected_in_words(alert),
        "share": round(100 * alert.share),
        "usual": round(100 * alert.baseline_share),
    }


def _not_sent(delivery: Delivery, error: Exception, now: datetime) -> None:
    attempts = delivery.attempts + 1
    permanent = isinstance(error, smtplib.SMTPRecipientsRefused) and all(
        500 <= code < 600 for code, _words in error.recipients.values()
    )
    dead = permanent or attempts >= MAX_ATTEMPTS
    wait = timedelta(seconds=min(30 * 4 ** (attempts - 1), 6 * 3600))
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.DEAD if dead else Delivery.State.QUEUED,
        attempts=attempts,
        last_error=f"{type(error).__name__}: {error}"[:300],
        next_try_at=now + wait,
        claimed_at=None,
    )
    log.warning(
        "email_not_sent", delivery=delivery.pk, attempts=attempts, dead=dead, error=type(error).__name__
    )
