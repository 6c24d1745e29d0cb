"""The chatbot's settings."""

from __future__ import annotations

from pydantic import Field

from services.conf import SuiteSettings


class ChatbotSettings(SuiteSettings):
    """Limits and thresholds of the conversation and of the knowledge base."""

    chatbot_question_chars: int = Field(
        2000, ge=100, le=20_000, description="Longest question a visitor may send, in characters."
    )
    chatbot_min_similarity: float = Field(
        0.4,
        ge=0.0,
        le=1.0,
        description="Least similarity of the best passage (cosine, 0 to 1) at which the bot answers at all.",
    )
    chatbot_min_coverage: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="Least share of the question's words in the best passage (BM25 over its bound, 0 to 1) "
        "at which the bot answers in a language its encoder does not read.",
    )
    chatbot_answer_sentences: int = Field(
        3, ge=1, le=10, description="Most sentences in one extractive answer, 1 to 10."
    )
    chatbot_answer_threads: int = Field(
        4, ge=1, le=64, description="Questions one web process answers at once, 1 to 64."
    )
    chatbot_ingest_lease_s: int = Field(
        60, ge=2, le=3600, description="Seconds without a sign of life after which an ingest is taken over."
    )
    chatbot_answer_lease_s: int = Field(
        15, ge=2, le=600, description="Seconds after which a question without an answer is taken over."
    )
