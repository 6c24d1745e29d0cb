"""Support → Terms: the words that mean the same, written down a group a line, in and out as a file."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from chatbot import terms
from chatbot.models import KnowledgeBase, Term
from chatbot.tasks import index_soon
from services.errors import InvalidInput, NotAllowed, SuiteError

MAY = "chatbot.change_term"
MOST_FILE_BYTES = 2**20


@require_http_methods(["GET", "POST"])
@never_cache
def terms_page(request: HttpRequest) -> HttpResponse:
    """All groups of a knowledge base in one field; posted, they replace those there are, or a file adds some.

    When something is wrong the page comes back with what was written and what to do about it.
    """
    bases = list(KnowledgeBase.objects.order_by("name"))
    asked = request.POST.get("base") or request.GET.get("base") or ""
    base = next((one for one in bases if str(one.pk) == asked), bases[0] if bases else None)
    groups = terms.groups_of(base) if base else []
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Terms"),
        "opts": Term._meta,
        "bases": bases,
        "base": base,
        "groups_n": len(groups),
        "lines": terms.as_lines(groups),
        "rows": min(max(len(groups) + 2, 8), 30),
        "expected": terms.fingerprint(groups),
        "behind": base is not None and base.revision > base.indexed_revision,
        "may": request.user.has_perm(MAY),
    }
    if request.method == "POST" and base is not None:
        try:
            told = _saved(request, base)
        except SuiteError as error:
            field = error.field or "terms"
            context |= {"wrong": error.detail, "field": field, "status": error.http_status}
            if "terms" in request.POST:
                sent = {"lines": request.POST["terms"], "expected": request.POST.get("expected", "")}
                context |= sent | {"rows": 20}
        else:
            messages.success(request, told)
            return redirect(f"{reverse('admin:chatbot_term_changelist')}?base={base.pk}")
    return render(request, "chatbot/admin/terms.html", context, status=context.get("status", 200))


@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse:
    """The groups of a knowledge base as a file that can be imported."""
    number = request.GET.get("base", "")
    base = KnowledgeBase.objects.filter(pk=int(number) if number.isdecimal() else 0).first()
    return StreamingHttpResponse(
        terms.as_csv(terms.groups_of(base) if base else []), content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="terms.csv"'},
    )  # fmt: skip


def _saved(request: HttpRequest, base: KnowledgeBase) -> str:
    """Do what was asked; what came of it, in words."""
    if not request.user.has_perm(MAY):
        raise NotAllowed(_("You may not change the terms."))
    if "terms" in request.POST:
        expected = request.POST.get("expected", "")
        done = terms.save(base, terms.from_lines(request.POST["terms"]), expected=expected)
    else:
        done = terms.save(base, terms.from_csv(_file(request)), keep_others=True, field="file")
    if not done.changed:
        return _("Nothing has changed.")
    index_soon(base.pk)
    added = ngettext("%(n)d group is new", "%(n)d groups are new", done.added) % {"n": done.added}
    removed = ngettext("%(n)d is gone", "%(n)d are gone", done.removed) % {"n": done.removed}
    then = _("The next version is being made with them and judged as after any change.")
    return f"{added}, {removed}. {then}"


def _file(request: HttpRequest) -> bytes:
    file = request.FILES.get("file")
    if file is None or isinstance(file, list):
        raise InvalidInput(_("Choose a file."), field="file")
    data = bytes(file.read(MOST_FILE_BYTES + 1))
    if len(data) > MOST_FILE_BYTES:
        limit = {"n": MOST_FILE_BYTES // 2**20}
        raise InvalidInput(_("The file is larger than %(n)d MiB.") % limit, field="file")
    return data
