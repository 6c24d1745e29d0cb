"""Run the inference server: the engine as a process of its own, for other processes and machines."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from services.conf import CoreSettings, load
from services.inference.conf import InferenceSettings


class Command(BaseCommand):
    """`manage.py serve_inference`."""

    help = (
        "Serve embeddings, chat completions, reranking, classes and tags over HTTP (INFERENCE_HOST, _PORT)."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="", help="instead of INFERENCE_HOST")
        parser.add_argument("--port", type=int, default=0, help="instead of INFERENCE_PORT")

    def handle(self, *args: Any, **options: Any) -> None:
        from services.inference.server import serve

        given = {"inference_host": options["host"], "inference_port": options["port"]}
        settings = load(InferenceSettings).model_copy(
            update={key: value for key, value in given.items() if value}
        )
        sys.exit(serve(settings, load(CoreSettings)))
