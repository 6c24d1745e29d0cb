"""The make-up of a data set is counted as a person would count it."""

from __future__ import annotations

import json

from services.training.balance import balance
from services.training.dataset import Example, Span


def test_labels_lengths_languages_and_sources_are_counted() -> None:
    examples = [Example("word " * 5, "word", "good", source="a")] * 6 + [Example("短文", label="bad")] * 2
    examples += [Example("x" * 6000, label="good", source="a")]
    found = balance(examples)
    assert json.loads(json.dumps(found)) == found
    assert found["labels"] == [{"value": "good", "n": 7}, {"value": "bad", "n": 2}]
    assert (found["rows"], found["imbalance"], found["with_entity"]) == (9, 3.5, 6)
    bars = {bar["from"]: bar["n"] for bar in found["lengths"] if bar["n"]}
    assert bars == {0: 2, 25: 6, 5000: 1}
    assert found["lengths"][-1]["to"] is None
    assert found["length_quantiles"][2] == 25
    assert found["languages"] == [{"value": "en", "n": 7}, {"value": "zh-hans", "n": 2}]
    assert found["sources"] == [{"value": "a", "n": 7}, {"value": "", "n": 2}]


def test_a_row_with_several_labels_counts_for_each_and_one_without_for_none() -> None:
    several = [Example("t", labels=("a", "b")), Example("t"), Example("Acme", spans=(Span(0, 4, "ORG"),))]
    assert {row["value"]: row["n"] for row in balance(several)["labels"]} == {"a": 1, "b": 1, "": 1, "ORG": 1}


def test_no_examples_are_a_data_set_too() -> None:
    found = balance([])
    assert (found["rows"], found["labels"], found["imbalance"]) == (0, [], 1.0)
