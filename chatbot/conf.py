"""The chatbot's settings."""

from __future__ import annotations

import re
import shlex
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from services.conf import SuiteSettings


class ChatbotSettings(SuiteSettings):
    """Limits and thresholds of the conversation and of the knowledge base."""

    chatbot_question_chars: int = Field(
        2000, ge=100, le=20_000, description="Longest question a visitor may send, in characters."
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
    chatbot_versions_kept: int = Field(
        5,
        ge=2,
        le=50,
        description="Latest versions of each knowledge base that can be gone back to, 2 to 50.",
    )
    chatbot_sources_days: int = Field(
        90,
        ge=1,
        le=3650,
        description="Days for which an answer still leads to the words it quoted, after their document has "
        "dropped them, 1 to 3650.",
    )
    chatbot_ocr: str = Field(
        "",
        description="Command that turns a scanned PDF into one with text, such as `ocrmypdf --skip-text "
        "{input} {output}`: {input} and {output} stand for the two files. Empty refuses scanned PDFs.",
    )
    chatbot_answer_lease_s: int = Field(
        15, ge=2, le=600, description="Seconds after which a question without an answer is taken over."
    )
    chatbot_phrase_s: float = Field(
        8.0,
        ge=0.5,
        le=60.0,
        description="Seconds a language model has to phrase an answer, 0.5 to 60; then the answer is made of "
        "quotations. Less than CHATBOT_ANSWER_LEASE_S.",
    )
    chatbot_first_words_s: float = Field(
        4.0,
        ge=0.2,
        le=60.0,
        description="Seconds within which a language model must begin an answer, 0.2 to 60.",
    )
    chatbot_phrase_tokens: int = Field(
        320, ge=32, le=4096, description="Most tokens of a phrased answer, 32 to 4096."
    )
    chatbot_rerank: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether a model reads the best passages beside the question and puts them in order: "
        "auto (when RERANKER names a cross-encoder), always (by late interaction where there is none) or "
        "never.",
    )
    chatbot_rerank_passages: int = Field(
        20, ge=2, le=50, description="Best passages that are reranked, 2 to 50."
    )
    chatbot_rerank_s: float = Field(
        1.5,
        ge=0.05,
        le=30.0,
        description="Seconds that reranking may take, 0.05 to 30; then the passages stay in the "
        "search's order.",
    )
    chatbot_intent_confidence: float = Field(
        0.7,
        ge=0.0,
        le=1.0,
        description="Least calibrated probability of an intent, 0 to 1, at which its own answer is given.",
    )
    chatbot_order_number: str = Field(
        r"(?:[A-Z]{1,4}-?)?\d{5,12}",
        description="Regular expression of an order number, letter case not minded; "
        "an intent's slot may have one of its own.",
    )
    chatbot_phone_region: str = Field(
        "US", description="Country of phone numbers written without a country code, such as US, GB or CN."
    )
    chatbot_action_hosts: str = Field(
        "",
        description="Hosts that intents' actions may ask, comma-separated: "
        "api.example.com,crm.internal:9000. Private addresses are asked only when named here; "
        "this installation's own is always allowed.",
    )
    chatbot_site_hosts: str = Field(
        "",
        description="Hosts in the private network whose web sites may be read into the knowledge, "
        "comma-separated: wiki.internal,help.internal:9000. Public sites need not be named.",
    )

    @field_validator("chatbot_phrase_s")
    @classmethod
    def _within_the_lease(cls, value: float, info: ValidationInfo) -> float:
        if value >= info.data.get("chatbot_answer_lease_s", 15):
            raise ValueError("not less than CHATBOT_ANSWER_LEASE_S")
        return value

    @field_validator("chatbot_ocr")
    @classmethod
    def _is_a_command(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"not a command ({error})") from error
        if words and not all(any(mark in word for word in words[1:]) for mark in ("{input}", "{output}")):
            raise ValueError("name a program and, after it, {input} and {output}")
        return value

    @field_validator("chatbot_order_number")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from error
        return value

    @field_validator("chatbot_phone_region")
    @classmethod
    def _is_a_country(cls, value: str) -> str:
        from phonenumbers import SUPPORTED_REGIONS

        if value.upper() not in SUPPORTED_REGIONS:
            raise ValueError("not a country's two letters")
        return value.upper()
