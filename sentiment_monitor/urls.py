"""The monitor's pages."""

from __future__ import annotations

from django.urls import path

from sentiment_monitor import views

urlpatterns = [
    path("console/monitor/", views.dashboard_page, name="monitor-dashboard"),
    path("console/monitor/series.json", views.series_json, name="monitor-series"),
    path("console/monitor/progress/", views.progress, name="monitor-progress"),
    path("console/monitor/alerts/<int:alert_id>/", views.alert_page, name="monitor-alert"),
    path(
        "console/monitor/alerts/<int:alert_id>/acknowledge/",
        views.acknowledge_here,
        name="monitor-acknowledge-here",
    ),
    path("monitor/acknowledge/<str:token>/", views.acknowledge, name="monitor-acknowledge"),
]
