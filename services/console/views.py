"""The console's own pages: what the inference engines do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from services.console import serving


@require_GET
@never_cache
@staff_member_required
def serving_page(request: HttpRequest) -> HttpResponse:
    """Models, throughput, queue, latency and errors of each process's engine, live."""
    context = {
        **admin.site.each_context(request),
        "title": _("Serving"),
        "shown": _asked(request),
        "encoder": DjangoJSONEncoder,
    }
    return render(request, "console/serving.html", context)


@require_GET
@never_cache
@staff_member_required
def serving_json(request: HttpRequest) -> JsonResponse:
    """The page's numbers as of now; its script asks every five seconds."""
    return JsonResponse(_asked(request))


def _asked(request: HttpRequest) -> dict[str, Any]:
    process = request.GET.get("process", "")
    return asdict(serving.look(timezone.now(), int(process) if process.isdecimal() else None))
