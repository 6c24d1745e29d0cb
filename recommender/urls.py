"""The recommender's pages."""

from __future__ import annotations

from django.urls import path

from recommender import views

urlpatterns = [
    path("console/recommender/health/", views.health, name="recommender-health"),
    path("console/recommender/users/<path:user_id>/why/", views.person_why, name="recommender-why"),
]
