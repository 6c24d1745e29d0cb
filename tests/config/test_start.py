"""Commands start light: what takes seconds to import is imported when it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.config.conftest import ROOT, clean_environment

HEAVY = {
    "torch", "transformers", "sentence_transformers", "faiss", "openvino", "onnx", "jieba", "scipy",
    "botocore", "s3fs", "aiohttp", "playwright",
}  # fmt: skip

LOAD_EVERYTHING = """
import json, sys
import django
django.setup()
from django.core.management import get_commands, load_command_class
for name, app in get_commands().items():
    load_command_class(app, name)
by_commands = sorted({name.split(".")[0] for name in sys.modules})
import config.urls
print(json.dumps([by_commands, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def test_no_command_and_no_page_imports_a_heavy_library(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path, DJANGO_SETTINGS_MODULE="config.settings")
    done = subprocess.run(
        [sys.executable, "-c", LOAD_EVERYTHING],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    by_commands, by_pages = (set(names) for names in json.loads(done.stdout.splitlines()[-1]))
    assert "django" in by_commands
    assert by_commands & HEAVY == set()
    assert by_pages & HEAVY <= {"scipy"}  # what a recommendation is computed with
