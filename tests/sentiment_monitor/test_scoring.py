"""The shipped sentiment head beside the real encoder, and what is refused.

The headlines are invented; no data set holds them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from sentiment_monitor.scoring import LABELS, abstains, live_model, polarity, score
from services.errors import ModelUnavailable
from services.inference.conf import InferenceSettings
from services.inference.engine import Engine
from services.inference.fake import FakeEngine
from services.inference.local import LocalEngine
from services.registry import lineage
from services.registry.manifest import SHIPPED

NEGATIVE = [
    "Quillon shares tumble 14% after surprise profit warning",
    "Marrick misses third-quarter estimates as sales slump",
    "Broker downgrades Tolven to sell on mounting debt",
    "Hesper posts wider loss, suspends dividend",
]
POSITIVE = [
    "Quillon shares jump 11% to a record high",
    "Marrick beats third-quarter estimates and lifts its outlook",
    "Broker upgrades Tolven to buy, raises price target",
    "Hesper doubles profit, raises dividend",
]
NEUTRAL = [
    "Quillon to publish third-quarter results on 4 November",
    "Marrick appoints new chief financial officer",
    "Tolven annual general meeting to be held in Bergen",
    "Transcript: Hesper's conference call with analysts",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The default encoder as it comes, without a conversion."""
    cache = tmp_path_factory.mktemp("models")
    settings = InferenceSettings(inference_runtime="torch", inference_device="cpu", model_cache_dir=cache)
    engine = LocalEngine(settings)
    yield engine
    engine.close()


def label(text: str, company: str | None, encoder: Engine) -> str:
    return LABELS[int(score([(text, company)], encoder).probs[0].argmax())]


@pytest.mark.parametrize("text", NEGATIVE)
def test_bad_news_is_negative(text: str, encoder: Engine) -> None:
    assert label(text, None, encoder) == "negative"


@pytest.mark.parametrize("text", POSITIVE)
def test_good_news_is_positive(text: str, encoder: Engine) -> None:
    assert label(text, None, encoder) == "positive"


@pytest.mark.parametrize("text", NEUTRAL)
def test_plain_news_is_neutral(text: str, encoder: Engine) -> None:
    assert label(text, None, encoder) == "neutral"


@pytest.mark.parametrize(
    ("text", "worse", "better"),
    [
        ("Acme plunges while Borealis soars", "Acme", "Borealis"),
        ("Borealis soars as Acme plunges", "Acme", "Borealis"),
        ("Quillon rallies 6%; Marrick sinks to a two-year low", "Marrick", "Quillon"),
        ("Sell Tolven, buy Hesper: broker", "Tolven", "Hesper"),
    ],
)
def test_a_conflicting_headline_ranks_its_companies_the_right_way_round(
    text: str, worse: str, better: str, encoder: Engine
) -> None:
    low, high = polarity(score([(text, worse), (text, better)], encoder).probs)
    assert low < 0 < high


def test_a_broker_that_is_only_quoted_is_no_winner(encoder: Engine) -> None:
    text = "Upgrade of Tolven to outperform lifts the shares: Grindal Securities"
    probs = score([(text, "Tolven"), (text, "Grindal Securities")], encoder).probs
    assert LABELS[int(probs[0].argmax())] == "positive"
    assert LABELS[int(probs[1].argmax())] == "neutral"


def test_the_order_and_company_of_other_items_change_nothing(encoder: Engine) -> None:
    items = [(text, None) for text in (*NEGATIVE, *POSITIVE)]
    together = score(items, encoder).probs
    assert together.shape == (8, 3)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(score(items[::-1], encoder).probs[::-1], together, atol=2e-3)


def test_every_score_can_name_its_model(encoder: Engine) -> None:
    model = live_model(encoder)
    assert model.model_version.startswith("sentiment-")
    assert score([("Acme plunges", None)], encoder).model_version == model.model_version
    assert model.languages == ("en",)
    assert model.reads("en-gb")
    assert not model.reads("zh-hans")


def test_a_model_with_other_labels_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="roll the task"):
        score([("Acme plunges", None)], FakeEngine(labels=("bad", "good")))


def test_polarity_and_the_abstain_band() -> None:
    probs = np.array([[0.1, 0.2, 0.7], [0.45, 0.2, 0.35], [0.5, 0.3, 0.2]], np.float32)
    np.testing.assert_allclose(polarity(probs), [0.6, -0.1, -0.3], atol=1e-6)
    assert abstains(probs).tolist() == [False, True, False]
    assert abstains(probs, below=0.6).tolist() == [False, True, True]


def test_the_shipped_model_is_small_and_says_where_it_comes_from() -> None:
    record = lineage.read(SHIPPED / "sentiment")
    assert sum(path.stat().st_size for path in (SHIPPED / "sentiment").iterdir()) <= 5_000_000
    assert {source.licence for source in record.data} == {"MIT"}
    assert record.labels == LABELS
    assert record.metrics["ece"] < 0.05
    assert record.gate is not None
    assert record.gate.gain > 0.02  # over TF-IDF; the few rows of its own test leave the gate in doubt
    assert record.gate.reasons
    assert (SHIPPED / "sentiment" / "README.md").is_file()
