"""The embedded broker: messages are folders' files, and a bad one ends nobody."""

from __future__ import annotations

from pathlib import Path
from queue import Empty

import pytest
from celery import Celery
from kombu.transport import filesystem

from config import celery as ours


def channel_on(folder: Path) -> filesystem.Channel:
    app = Celery("apart", broker="filesystem://")
    app.conf.broker_transport_options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
    }
    return app.connection().channel()


def test_a_message_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    channel = channel_on(tmp_path)
    for n, content in enumerate(["", "{half a mess", '{"body": "whole"}', ""]):
        (tmp_path / f"{n}_x.default.msg").write_text(content)
    assert ours._get_readable(channel, "default") == {"body": "whole"}
    with pytest.raises(Empty):
        ours._get_readable(channel, "default")
    assert not list(tmp_path.glob("*.msg"))


def test_a_message_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    channel = channel_on(tmp_path)
    ours._put_whole(channel, "default", {"body": "refunds 退款"})
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file()] == [".msg"]
    assert ours._get_readable(channel, "default") == {"body": "refunds 退款"}
