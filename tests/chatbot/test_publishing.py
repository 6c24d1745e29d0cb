"""Draft, judged, published: what is worse does not go live by itself, and nothing that was said gets lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chatbot import clearing, knowledge, publishing, retrieval, tasks
from chatbot.models import Document, EvaluationCase, KnowledgeBase, KnowledgeVersion, Passage
from services.console.models import AuditEntry
from services.console.storage import storage
from services.errors import Conflict, InvalidInput, ModelUnavailable
from services.inference.engine import get_engine, set_engine
from services.inference.fake import FakeEngine
from tests.builders import RETURNS_MD, add_document, make_inbox, make_knowledge_base, post_json

pytestmark = pytest.mark.django_db
State = KnowledgeVersion.State
WORDS = (  # noqa: SIM905
    "anchor basil cobalt denim ember fjord garnet hazel indigo jasper kelp linen maple nectar onyx pewter "
    "quartz raven saffron tundra umber velvet willow xenon yarrow zephyr acorn birch cedar dahlia"
).split()


def faq(words: list[str], **answers: str) -> bytes:
    """An FAQ table with an entry for each word, and two other wordings of its question."""
    lines = ["question,answer,variants"]
    for word in words:
        answer = answers.get(
            word, f"The {word} lamp costs {len(word) * 7} euros and ships from store {word}."
        )
        lines.append(f"What is the {word} lamp?,{answer},price of {word} | tell me about {word} please")
    return "\n".join(lines).encode()


def make_faq(words: list[str] = WORDS) -> KnowledgeBase:
    return make_knowledge_base(faq_csv=faq(words))


def change(base: KnowledgeBase, data: bytes) -> KnowledgeVersion:
    """Upload the table anew and see its version through."""
    add_document(base, "faq.csv", data)
    tasks.index_knowledge_base(base.pk)
    base.refresh_from_db()
    return base.versions.order_by("-number").first()  # type: ignore[return-value]


def top(base: KnowledgeBase, question: str) -> str:
    base.refresh_from_db()
    found = retrieval.search(base, question, language="en", engine=get_engine(), storage=storage())
    return found[0].passage.heading


def test_the_first_version_goes_live_at_once_and_is_judged_by_itself() -> None:
    base = make_faq()
    version = base.versions.get()
    assert base.live_version == version
    assert base.index_path == version.index_path
    assert (version.number, version.state, version.passages_n) == (1, State.PUBLISHED, len(WORDS))
    assert version.judged_at is not None
    assert version.evaluation["cases"] == 2 * len(WORDS)
    assert version.evaluation["this"]["recall_at_5"] > 0.9
    assert version.evaluation["live"] is None


def test_without_cases_every_version_goes_live_by_itself() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    add_document(base, "returns.md", RETURNS_MD.replace(b"5 business", b"6 business"))
    tasks.index_knowledge_base(base.pk)
    base.refresh_from_db()
    assert base.live_version is not None
    assert base.live_version.number == 2
    assert [v.state for v in base.versions.order_by("number")] == [State.RETIRED, State.PUBLISHED]
    assert base.live_version.evaluation["reasons"][0]["code"] == "no_cases"
    assert AuditEntry.objects.count() == 0


def test_a_version_that_finds_what_the_live_one_finds_goes_live_by_itself() -> None:
    base = make_faq()
    version = change(base, faq([*WORDS, "topaz"], basil="The basil lamp is sold out until May."))
    assert base.live_version == version
    assert version.evaluation["against"] == 1
    assert version.evaluation["compared"] == 2 * len(WORDS)
    assert version.evaluation["new"] == 2
    assert version.evaluation["gains"]["mrr"]["high"] >= 0


def test_a_draft_that_lost_a_tenth_of_the_passages_is_blocked_and_its_cases_are_named() -> None:
    base = make_faq()
    version = change(base, faq(WORDS[3:]))
    assert version.state == State.BLOCKED
    assert base.live_version is not None
    assert base.live_version.number == 1
    assert base.revision == base.indexed_revision
    assert knowledge.stale_indexes() == []
    codes = {reason["code"]: reason for reason in version.evaluation["reasons"]}
    assert codes["lost"]["lost"] == 6
    assert "6 of 60" in publishing.reason_words(codes["lost"])
    named = {(row["why"], row["question"]) for row in version.failing}
    assert named >= {("gone", f"price of {word}") for word in WORDS[:3]}
    assert all(row["found"] for row in version.failing)
    assert top(base, "price of anchor") == "What is the anchor lamp?"


def test_a_draft_that_finds_less_is_blocked_by_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_faq()
    found_in = retrieval.found_in

    def worse(index: Any, question: str, *rest: Any, **options: Any) -> Any:
        found = found_in(index, question, *rest, **options)
        is_draft = "topaz" in " ".join(
            Passage.objects.filter(pk__in=index.passage_ids.tolist()).values_list("heading", flat=True)
        )
        return found[1:3] + found[:1] if is_draft else found  # fmt: skip

    monkeypatch.setattr(retrieval, "found_in", worse)
    version = change(base, faq([*WORDS, "topaz"]))
    assert version.state == State.BLOCKED
    assert [reason["code"] for reason in version.evaluation["reasons"]] == ["falls"]
    assert "below zero" in publishing.reason_words(version.evaluation["reasons"][0])


def test_a_removed_document_takes_its_own_variants_along_and_is_not_missed() -> None:
    base = make_faq()
    add_document(base, "other.md", RETURNS_MD)
    knowledge.remove(base.documents.get(filename="faq.csv"))
    tasks.index_knowledge_base(base.pk)
    base.refresh_from_db()
    assert base.live_version is not None
    assert base.live_version.number == 2
    assert base.live_version.passages_n == 2


def test_cases_written_by_hand_are_missed_when_their_document_goes() -> None:
    base = make_faq()
    document = base.documents.get()
    for word in WORDS[:6]:
        EvaluationCase.objects.create(
            knowledge_base=base,
            question=f"how much for {word}",
            document=document,
            heading=f"What is the {word} lamp?",
        )
    add_document(base, "other.md", RETURNS_MD)
    knowledge.remove(document)
    tasks.index_knowledge_base(base.pk)
    version = base.versions.get(number=2)
    assert version.state == State.BLOCKED
    assert {row["why"] for row in version.failing} == {"gone"}


def test_a_blocked_version_goes_live_only_with_a_reason_which_the_audit_log_keeps() -> None:
    base = make_faq()
    version = change(base, faq(WORDS[5:]))
    live = base.live_version_id
    with pytest.raises(InvalidInput) as refused:
        publishing.publish(version, expected=live, who="rosa", now=timezone.now(), reason="  ")
    assert refused.value.field == "reason"
    publishing.publish(version, expected=live, who="rosa", now=timezone.now(), reason="Five lamps are gone.")
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.who, entry.before, entry.after) == ("overridden", "rosa", "v1", "v2")
    assert entry.reason == "Five lamps are gone."
    base.refresh_from_db()
    assert base.live_version == version
    assert top(base, "price of kelp") == "What is the kelp lamp?"


def test_a_version_of_another_encoder_cannot_be_gone_back_to() -> None:
    base = make_faq()
    first = base.versions.get()
    version = change(base, faq([*WORDS, "topaz"]))
    with pytest.raises(Conflict, match="another encoder"):
        publishing.publish(first, expected=version.pk, who="rosa", now=timezone.now(), encoder="new-2")


def test_going_back_is_answered_from_at_once_and_can_be_undone() -> None:
    base = make_faq()
    change(base, faq([*WORDS, "topaz"]))
    assert top(base, "price of topaz") == "What is the topaz lamp?"
    publishing.roll_back(base, who="rosa", now=timezone.now())
    assert top(base, "price of topaz") != "What is the topaz lamp?"
    assert base.live_version is not None
    assert base.live_version.number == 1
    publishing.roll_back(base, who="rosa", now=timezone.now())
    assert top(base, "price of topaz") == "What is the topaz lamp?"
    assert list(AuditEntry.objects.values_list("act", "after")) == [
        ("rolled_back", "v2"),
        ("rolled_back", "v1"),
    ]


def test_of_two_who_publish_at_once_one_gets_a_conflict_and_nothing_is_half_changed() -> None:
    base = make_faq()
    base.publishes_itself = False
    base.save()
    second, third = change(base, faq([*WORDS, "topaz"])), change(base, faq([*WORDS, "topaz", "opal"]))
    assert (second.state, third.state) == (State.DRAFT, State.DRAFT)
    seen = base.live_version_id
    publishing.publish(third, expected=seen, who="rosa", now=timezone.now())
    with pytest.raises(Conflict):
        publishing.publish(second, expected=seen, who="omar", now=timezone.now())
    base.refresh_from_db()
    second.refresh_from_db()
    assert (base.live_version, base.index_path, second.state) == (third, third.index_path, State.DRAFT)
    assert base.versions.filter(state=State.PUBLISHED).count() == 1
    assert AuditEntry.objects.count() == 1


def test_a_citation_outlives_a_new_upload_a_removal_and_going_back(client: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    passage = Passage.objects.get(heading__endswith="Refunds")
    url = f"/help/{passage.document_id}/?passage={passage.pk}&start=0&end=20"
    marked = f"<mark>{passage.text[:20]}</mark>"
    assert "replaced since" not in client.get(url).content.decode()
    add_document(base, "returns.md", RETURNS_MD.replace(b"5 business", b"6 business"))
    tasks.index_knowledge_base(base.pk)
    page = client.get(url).content.decode()
    assert marked in page
    assert "This text has been replaced since" in page
    assert "6 business days" in page
    knowledge.remove(base.documents.get())
    tasks.index_knowledge_base(base.pk)
    page = client.get(url).content.decode()
    assert marked in page
    assert "6 business days" not in page
    assert client.get(f"/help/{passage.document_id}/").status_code == 404
    base.refresh_from_db()
    publishing.publish(
        base.versions.get(number=1), expected=base.live_version_id, who="rosa", now=timezone.now()
    )
    assert top(base, "how long do refunds take") == passage.heading
    assert marked in client.get(url).content.decode()


def test_an_upload_of_a_removed_file_brings_its_passages_back() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    before = set(Passage.objects.values_list("pk", flat=True))
    knowledge.remove(base.documents.get())
    tasks.index_knowledge_base(base.pk)
    assert base.versions.get(number=2).passages_n == 0
    add_document(base, "returns.md", RETURNS_MD)
    tasks.index_knowledge_base(base.pk)
    assert set(Passage.objects.filter(retired_at=None).values_list("pk", flat=True)) == before
    assert base.documents.get().state == Document.State.DONE
    assert top(base, "refunds") == "Returns › Refunds"


def test_a_worker_killed_between_building_and_publishing_leaves_nothing_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = make_faq()
    add_document(base, "faq.csv", faq([*WORDS, "topaz"]))

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "_judge", killed)
        with pytest.raises(Killed):
            tasks.index_knowledge_base(base.pk)
    draft = base.versions.get(number=2)
    assert (draft.state, bool(draft.index_path), draft.judged_at) == (State.DRAFT, True, None)
    assert knowledge.unfinished() == 1
    tasks.resume_ingest()  # its lease still runs: nobody takes it over
    assert base.versions.get(number=2).judged_at is None
    KnowledgeVersion.objects.filter(pk=draft.pk).update(claimed_at=timezone.now() - timedelta(minutes=5))
    tasks.resume_ingest()
    base.refresh_from_db()
    assert base.live_version == draft
    assert base.versions.get(number=2).index_path == draft.index_path
    assert knowledge.unfinished() == 0


def test_an_engine_that_is_down_delays_a_version_and_blocks_nothing() -> None:
    base = make_faq()
    add_document(base, "faq.csv", faq([*WORDS, "topaz"]))
    for _ in range(publishing.MAX_ATTEMPTS + 2):
        set_engine(FakeEngine(fail_with=ModelUnavailable("The model is being loaded.")))
        tasks.index_knowledge_base(base.pk)
        base.refresh_from_db()
        assert base.live_version is not None
        assert base.live_version.number == 1
    set_engine(FakeEngine())
    tasks.resume_ingest()
    base.refresh_from_db()
    assert base.live_version is not None
    assert base.live_version.number == 2


def test_two_workers_never_build_the_same_version() -> None:
    base = make_faq()
    add_document(base, "faq.csv", faq([*WORDS, "topaz"]))
    now = timezone.now()
    assert publishing.claim(base, now, publishing.LEASE) is not None
    assert publishing.claim(base, now, publishing.LEASE) is None
    assert base.versions.count() == 2


def test_old_versions_and_passages_go_when_nothing_leads_to_them(client: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    make_inbox(base)
    quoted = Passage.objects.get(heading__endswith="Refunds")
    made = post_json(client, "/api/v1/chatbot/conversations", {"inbox": "shop"}).json()
    from chatbot import events
    from chatbot.models import Conversation

    conversation = Conversation.objects.get(pk=made["id"])
    events.append(conversation, "bot_message", {"citations": [{"passage": quoted.pk}]}, now=timezone.now())
    for days in range(6, 13):
        add_document(base, "returns.md", RETURNS_MD.replace(b"5 business", b"%d business" % days))
        tasks.index_knowledge_base(base.pk)
    kept = sorted(base.versions.values_list("number", flat=True))
    assert kept == [4, 5, 6, 7, 8]
    folders = storage().folders(f"indexes/{base.pk}")
    assert sorted(folders) == sorted(base.versions.values_list("index_path", flat=True))
    held = set(Passage.objects.filter(heading__endswith="Refunds").values_list("pk", flat=True))
    later = timezone.now() + timedelta(days=1)
    clearing.clear_passages(base, storage(), timezone.now() - timedelta(days=90))
    assert Passage.objects.filter(pk__in=held).count() == len(held)  # too young
    Passage.objects.exclude(retired_at=None).update(retired_at=timezone.now() - timedelta(days=100))
    assert clearing.clear_passages(base, storage(), timezone.now() - timedelta(days=90)) == 2
    assert Passage.objects.filter(pk=quoted.pk).exists()
    assert clearing.clear_passages(base, storage(), later) == 1
    assert not Passage.objects.filter(pk=quoted.pk).exists()


def test_what_is_compared_is_asked_without_its_own_variant() -> None:
    base = make_knowledge_base(
        faq_csv=b"question,answer,variants\nWhere are you?,We sit in Bergen.,colourless green ideas sleep\n"
        b"Who are you?,A shop for lamps.,furiously"
    )
    version = base.versions.get()
    assert version.evaluation["cases"] == 2
    assert version.evaluation["this"]["mrr"] < 1


def test_asking_again_judges_the_live_version_and_changes_nothing_else() -> None:
    base = make_faq()
    version = change(base, faq(WORDS[3:]))
    assert publishing.ask_again(base) == 2
    assert knowledge.unfinished() == 0
    tasks.resume_ingest()
    tasks.resume_ingest()
    version.refresh_from_db()
    assert (version.state, base.versions.get(number=1).state) == (State.BLOCKED, State.PUBLISHED)
    assert not base.versions.filter(judged_at=None).exists()


def test_a_case_that_should_be_refused_is_counted() -> None:
    base = make_faq()
    EvaluationCase.objects.create(knowledge_base=base, question="qwxz vvkk", answerable=False)
    publishing.ask_again(base)
    tasks.resume_ingest()
    assert base.versions.get().evaluation["this"]["refused"] in {0.0, 1.0}


def test_who_publishes_may_hold_what_comes_after() -> None:
    base = make_faq()
    version = change(base, faq([*WORDS, "topaz"]))
    first = base.versions.get(number=1)
    publishing.publish(first, expected=version.pk, who="rosa", now=timezone.now(), hold=True)
    base.refresh_from_db()
    assert base.publishes_itself is False
    assert base.live_version == first
    assert change(base, faq([*WORDS, "topaz", "opal"])).state == State.DRAFT
