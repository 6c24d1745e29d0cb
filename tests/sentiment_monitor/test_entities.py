"""Companies are found without the usual traps."""

from __future__ import annotations

import json

import pytest

from sentiment_monitor.entities import find, watch_list
from sentiment_monitor.models import Company
from tests.builders import SAMPLE

COMPANIES = [
    Company(pk=1, name="Meta Looms", tickers=["META"], aliases=["META"], context=["looms", "weaving"]),
    Company(pk=2, name="Vantage", tickers=["V"], context=["cards", "payments"]),
    Company(pk=3, name="Allgood Foods", tickers=["ALL"], aliases=["Allgood"], context=["food"]),
    Company(pk=4, name="Birch Holdings", tickers=["BRK.B"]),
    Company(
        pk=5, name="Pingshan Insurance", tickers=["PSI"], aliases_zh=["平安"], context=["保险", "insurer"]
    ),
    Company(pk=6, name="Crest", tickers=["CRF"], context=["ferry", "ferries"]),
]
WATCHED = watch_list(COMPANIES)


def named(title: str, body: str = "") -> set[int]:
    return {found.company_id for found in find(title, body, WATCHED)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Meta Looms posts record profit", {1}),
        ("A meta analysis of weaving studies", set()),
        ("$META rises 3 % after looms order", {1}),
        ("Vitamin V is good for you", set()),
        ("Payments firm up: $V gains in early trade", {2}),
        ("Shares of the card firm (NYSE: V) slipped", {2}),
        ("All shops closed; it was all good", set()),
        ("ALL STAFF TO RETURN ON MONDAY", set()),
        ("Allgood Foods (ALL) warns on margins", {3}),
        ("BRK.B closes higher", {4}),
        ("中国平安保险净利润下降", {5}),
        ("平安夜商场客流创新高", set()),
        ("Waves crest as storm nears the ferry port", set()),
        ("Ferry operator Crest said fares would rise", {6}),
        ("Prices crest in October", set()),
        ("metadata and all vs any", set()),
    ],
)
def test_a_name_counts_only_when_it_means_the_company(text: str, expected: set[int]) -> None:
    assert named(text) == expected


def test_a_company_in_the_title_is_more_relevant_than_one_in_the_text() -> None:
    found = find("Meta Looms sues", "The rival Birch Holdings declined to comment.", WATCHED)
    assert [f.company_id for f in found] == [1, 4]
    assert found[0].relevance > found[1].relevance


def test_the_samples_companies_are_found_with_few_mistakes() -> None:
    folder = SAMPLE / "news"
    rows = [json.loads(line) for line in (folder / "companies.jsonl").read_text().splitlines()]
    fields = ("name", "tickers", "aliases", "aliases_zh", "context")
    companies = [Company(pk=i, slug=r["slug"], **{f: r[f] for f in fields}) for i, r in enumerate(rows, 1)]
    slug_of = {company.pk: company.slug for company in companies}
    watched = watch_list(companies)
    truth = {
        t["id"]: set(t["companies"])
        for t in map(json.loads, (folder / "truth.jsonl").read_text().splitlines())
    }
    right = wrong = missed = 0
    for entry in map(json.loads, (folder / "entries.jsonl").read_text().splitlines()):
        found = {slug_of[f.company_id] for f in find(entry["title"], entry["body"], watched)}
        right += len(found & truth[entry["id"]])
        wrong += len(found - truth[entry["id"]])
        missed += len(truth[entry["id"]] - found)
    assert right / (right + wrong) >= 0.97
    assert right / (right + missed) >= 0.95
