"""kill -9 of the worker in the middle of an ingest: every document is read in the end, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import SAMPLE
from tests.journeys.conftest import Suite, make_suite, wait_until
from tests.journeys.test_first_answer import documents_left


@pytest.fixture
def hasty(tmp_path: Path) -> Suite:
    """A suite that takes a dead worker's documents over after two seconds."""
    (tmp_path / "data").mkdir()
    return make_suite(tmp_path / "data", CHATBOT_INGEST_LEASE_S="2")


@pytest.mark.timeout(600)
def test_an_ingest_whose_worker_is_killed_is_finished_by_the_next(hasty: Suite) -> None:
    hasty.start()
    try:
        wait_until(lambda: done(hasty) >= 1, 60, hasty.log)
        hasty.kill_worker()
    finally:
        if hasty.process is not None:
            hasty.process.wait(30)  # one process gone ends the others, so that nothing runs by halves
            hasty.process = None
    hasty.start()
    try:
        wait_until(lambda: documents_left(hasty) == 0, 120, hasty.log)
        files = [p for p in (SAMPLE / "knowledge").iterdir() if p.name != "questions.jsonl"]
        assert hasty.rows("Document.objects.filter(state='done').count()") == len(files)
        assert hasty.rows("Piece.objects.filter(vec=None).count()") == 0
        twice = (
            "Passage.objects.count() - Passage.objects.values('document', 'content_hash').distinct().count()"
        )
        assert hasty.rows(twice) == 0
    finally:
        hasty.stop()


def done(suite: Suite) -> int:
    """Documents that are read."""
    return suite.count("SELECT COUNT(*) FROM chatbot_document WHERE state = 'done'")
