"""The demo shop's pages."""

from __future__ import annotations

from django.urls import path

from sample import views

urlpatterns = [
    path("", views.home, name="shop"),
    path("for-you/", views.for_you, name="shop-for-you"),
    path("events/", views.event, name="shop-event"),
    path("shopper/", views.become, name="shop-become"),
    path("orders/<str:number>/status.json", views.order_status, name="shop-order-status"),
    path("items/<path:item_id>/", views.item, name="shop-item"),
]
