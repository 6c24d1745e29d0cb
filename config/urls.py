"""Which address leads to which door."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView

from config import health
from config.api import api, unknown_address

urlpatterns: list[URLPattern | URLResolver] = [
    path("live", health.live, name="live"),
    path("ready", health.ready, name="ready"),
    path("api/v1/", api.urls),
    re_path(r"^api/", csrf_exempt(unknown_address)),
    path("", include("sentiment_monitor.urls")),
    path("", include("recommender.urls")),
    path("", include("chatbot.urls")),
    path("console/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("shop/", include("sample.urls")),
    path("", RedirectView.as_view(url="/shop/", permanent=False)),
]
