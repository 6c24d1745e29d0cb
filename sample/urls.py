"""The demo shop's pages."""

from __future__ import annotations

from django.urls import path

from sample import views

urlpatterns = [
    path("", views.home, name="shop"),
    path("items/<path:item_id>/", views.item, name="shop-item"),
]
