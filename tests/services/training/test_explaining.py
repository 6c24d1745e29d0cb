"""An explanation adds up to the answer it explains, and points at the words that made it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.errors import InvalidInput
from services.inference.values import Pair
from services.training.explaining import attributions, left_out
from tests.services.inference.tiny_models import make_model


@pytest.mark.parametrize("entity", [None, "Acme"])
def test_the_weights_of_a_transformer_add_up_to_its_logit(tmp_path: Path, entity: str | None) -> None:
    from tokenizers import Tokenizer

    from services.inference.model_files import find_model
    from services.inference.runtimes.torch import load_task_module

    folder = make_model(tmp_path / "model", "ForSequenceClassification", ("bad", "good"))
    files = find_model(str(folder), "classifier", tmp_path / "cache", "MODEL")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    module = load_task_module(files, tokenizer.token_to_id("[SEP]"))
    text = "Acme raised its forecast in Rome"
    found = attributions(module, tokenizer, text, entity, 1, steps=200)
    assert [text[token.start : token.end] for token in found.tokens] == text.split()
    assert any(abs(token.weight) > 1e-3 for token in found.tokens)
    rough = attributions(module, tokenizer, text, entity, 1, steps=2)
    size = sum(abs(token.weight) for token in found.tokens)
    assert found.error < 0.05 * size
    assert found.error <= rough.error


def by_word(rows: list[Pair]) -> np.ndarray:
    good = np.array([0.2 + 0.6 * ("soars" in text) - 0.1 * ("but" in text) for text, _ in rows])
    return np.stack([1 - good, good], axis=1).astype(np.float32)


def test_leaving_words_out_shows_the_one_that_counts_and_the_one_that_speaks_against() -> None:
    text = "Acme soars  but slowly"
    found = left_out(by_word, text, "Acme", 1)
    weights = {text[token.start : token.end]: round(token.weight, 3) for token in found.tokens}
    assert weights == {"Acme": 0.0, "soars": 0.6, "but": -0.1, "slowly": 0.0}


def test_texts_too_long_to_explain_are_refused() -> None:
    with pytest.raises(InvalidInput, match="400 words"):
        left_out(by_word, "word " * 401, None, 0)
