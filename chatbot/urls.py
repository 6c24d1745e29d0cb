"""The chatbot's pages for visitors."""

from __future__ import annotations

from django.urls import path

from chatbot import views

urlpatterns = [
    path("chat/frame/", views.widget_frame, name="chat-frame"),
    path("help/<int:document_id>/", views.source, name="help-source"),
]
