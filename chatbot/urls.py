"""The chatbot's pages for visitors, and the bench."""

from __future__ import annotations

from django.urls import path

from chatbot import bench_views, views

urlpatterns = [
    path("chat/frame/", views.widget_frame, name="chat-frame"),
    path("help/<int:document_id>/", views.source, name="help-source"),
    path("console/support/bench/", bench_views.page, name="chatbot-bench"),
    path("console/support/bench/ask/", bench_views.ask, name="chatbot-bench-ask"),
    path("console/support/bench/careful/", bench_views.careful, name="chatbot-bench-careful"),
    path("console/support/bench/careful/effect/", bench_views.effect, name="chatbot-bench-effect"),
    path("console/support/bench/careful/save/", bench_views.save, name="chatbot-bench-save"),
]
