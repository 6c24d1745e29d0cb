"""The chatbot's pages for visitors, and the bench."""

from __future__ import annotations

from django.urls import path

from chatbot import bench_views, entry_parts, entry_views, upkeep_views, views

urlpatterns = [
    path("chat/frame/", views.widget_frame, name="chat-frame"),
    path("help/<int:document_id>/", views.source, name="help-source"),
    path("console/support/bench/", bench_views.page, name="chatbot-bench"),
    path("console/support/bench/ask/", bench_views.ask, name="chatbot-bench-ask"),
    path("console/support/bench/careful/", bench_views.careful, name="chatbot-bench-careful"),
    path("console/support/bench/careful/effect/", bench_views.effect, name="chatbot-bench-effect"),
    path("console/support/bench/careful/save/", bench_views.save, name="chatbot-bench-save"),
    path("console/support/knowledge/new/", entry_views.new, name="chatbot-entry-new"),
    path("console/support/knowledge/preview/", entry_parts.preview, name="chatbot-entry-preview"),
    path("console/support/knowledge/ask/", entry_parts.ask, name="chatbot-entry-ask"),
    path("console/support/knowledge/<int:document_id>/", entry_views.edit, name="chatbot-entry-edit"),
    path(
        "console/support/knowledge/<int:document_id>/progress/",
        entry_parts.progress,
        name="chatbot-entry-progress",
    ),
    path(
        "console/support/knowledge/<int:document_id>/remove/",
        entry_views.remove_entry,
        name="chatbot-entry-remove",
    ),
    path(
        "console/support/knowledge/<int:document_id>/take-over/",
        entry_views.take_over,
        name="chatbot-entry-take-over",
    ),
    path(
        "console/support/knowledge/<int:document_id>/editions/<slug:digest>/",
        entry_views.edition,
        name="chatbot-entry-edition",
    ),
    path("console/support/knowledge/at/<int:passage_id>/", entry_views.at_passage, name="chatbot-entry-at"),
    path(
        "console/support/knowledge/questions/<int:passage_id>/",
        entry_parts.questions,
        name="chatbot-entry-variants",
    ),
    path("console/support/upkeep/", upkeep_views.conflicts_page, name="chatbot-upkeep"),
    path("console/support/upkeep/compare/", upkeep_views.compare_again, name="chatbot-upkeep-compare"),
    path("console/support/upkeep/progress/", upkeep_views.progress_part, name="chatbot-upkeep-progress"),
    path(
        "console/support/upkeep/conflicts/<int:conflict_id>/",
        upkeep_views.decide,
        name="chatbot-upkeep-decide",
    ),
    path("console/support/upkeep/review/", upkeep_views.review_page, name="chatbot-upkeep-review"),
    path("console/support/upkeep/review/right/", upkeep_views.still_right, name="chatbot-upkeep-right"),
    path("console/support/upkeep/expired/", upkeep_views.expired_page, name="chatbot-upkeep-expired"),
    path("console/support/upkeep/hits/", upkeep_views.hits_page, name="chatbot-upkeep-hits"),
    path("console/support/upkeep/hits.csv", upkeep_views.hits_file, name="chatbot-upkeep-csv"),
]
