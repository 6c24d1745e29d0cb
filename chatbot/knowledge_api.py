"""The knowledge API: a company's own programs put documents in, ask how far they are read, take them out."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any

from django.core.exceptions import SuspiciousOperation
from django.db.models import Count, Q
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status
from pydantic import ValidationError

from chatbot import access, knowledge
from chatbot.models import Document, KnowledgeBase
from chatbot.schemas import DocumentIn, DocumentOut, DocumentsOut, KnowledgeBaseOut, KnowledgeBasesOut
from chatbot.tasks import index_soon, ingest_soon
from services.conf import CoreSettings, load
from services.console.api_keys import requires
from services.console.storage import storage
from services.errors import InvalidInput, MalformedRequest, TooLarge, UnsupportedMediaType

READ, WRITE = requires("knowledge:read"), requires("knowledge:write")
AROUND_BYTES = 64 * 2**10  # what multipart puts around a file
BODIES = {
    "application/json": {"schema": DocumentIn.model_json_schema()},
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": {"type": "string", "format": "binary"},
                "title": {"type": "string", "maxLength": 200},
            },
        }
    },
}
Number = Annotated[int, Path(ge=1, le=2**53)]
router = Router()


@router.get("", auth=READ, response=KnowledgeBasesOut, summary="The knowledge bases")
def list_bases(request: HttpRequest) -> KnowledgeBasesOut:
    """Their numbers are what the other addresses ask for."""
    shown = ~Q(documents__state=Document.State.REMOVED)
    rows = KnowledgeBase.objects.select_related("live_version").order_by("name")
    found = [
        KnowledgeBaseOut(
            id=base.pk,
            name=base.name,
            documents=base.documents_n,
            live_version=base.live_version.number if base.live_version else None,
        )
        for base in rows.annotate(documents_n=Count("documents", filter=shown))
    ]
    return KnowledgeBasesOut(knowledge_bases=found)


@router.post(
    "/{base}/documents",
    auth=WRITE,
    response={201: DocumentOut, 200: DocumentOut},
    summary="Upload a document",
    openapi_extra={"requestBody": {"required": True, "content": BODIES}},
)
def upload_document(request: HttpRequest, base: Number) -> Status[DocumentOut]:
    """A file as multipart/form-data, or text as JSON; one of the same file name is replaced (200).

    It is kept at once and read in the background; passages that did not change stay as they are.
    """
    knowledge_base = access.knowledge_base_for(base)
    limit = load(CoreSettings).max_upload_mib * 2**20
    filename, data, title = _sent(request, limit)
    there = Document.objects.filter(knowledge_base=knowledge_base, filename=filename)
    is_new = not there.exclude(state=Document.State.REMOVED).exists()
    document = knowledge.receive(
        knowledge_base,
        filename,
        data,
        storage=storage(),
        max_bytes=limit,
        title=title,
        by=str(getattr(request, "auth").name)[:150],  # noqa: B009 - ninja sets it
        now=timezone.now(),
    )
    ingest_soon(document.pk)
    return Status(201 if is_new else 200, _out(document))


@router.get("/{base}/documents", auth=READ, response=DocumentsOut, summary="List documents")
def list_documents(
    request: HttpRequest,
    base: Number,
    state: str = "",
    filename: str = "",
    after: int = Query(0, ge=0, le=2**53),
    limit: int = Query(100, ge=1, le=1000),
) -> DocumentsOut:
    """With their states, in the order they came; `state` and `filename` narrow it, `after` goes on."""
    states = [value for value in Document.State.values if value != Document.State.REMOVED]
    if state and state not in states:
        raise InvalidInput(
            _("Choose one of these states: %(states)s.") % {"states": ", ".join(states)}, field="state"
        )
    rows = Document.objects.filter(knowledge_base=access.knowledge_base_for(base), pk__gt=after)
    rows = rows.filter(state__in=[state] if state else states).order_by("pk")
    found = list((rows.filter(filename=filename) if filename else rows)[: limit + 1])
    more = len(found) > limit
    return DocumentsOut(
        documents=[_out(row) for row in found[:limit]], next=found[limit - 1].pk if more else None
    )


@router.get(
    "/{base}/documents/{document_id}", auth=READ, response=DocumentOut, summary="How far a document is read"
)
def get_document(request: HttpRequest, base: Number, document_id: Number) -> DocumentOut:
    """`state` goes from `queued` over `running` to `done`, or to `failed` with the reason."""
    return _out(access.document_for(base, document_id))


@router.delete(
    "/{base}/documents/{document_id}", auth=WRITE, response={204: None}, summary="Delete a document"
)
def delete_document(request: HttpRequest, base: Number, document_id: Number) -> Status[None]:
    """Answers stop using it with the next version; those that quote it still lead to its words."""
    document = access.document_for(base, document_id)
    knowledge.remove(document, timezone.now())
    index_soon(document.knowledge_base_id)
    return Status(204, None)


def _sent(request: HttpRequest, limit: int) -> tuple[str, bytes, str]:
    """The file name, bytes and title of what was sent; bytes over the limit end one past it."""
    if request.content_type == "multipart/form-data":
        filename, data, title = _of_form(request, limit)
    elif request.content_type == "application/json":
        filename, data, title = _of_json(request)
    else:
        raise UnsupportedMediaType(
            _("Send a file as multipart/form-data, or {filename, text} as application/json.")
        )
    filename = PurePath(filename.replace("\\", "/")).name.strip()
    if not filename.strip(".") or not filename.isprintable() or len(filename) > 200:
        raise InvalidInput(
            _("Give a file name of at most 200 characters, with an ending such as .md or .pdf."),
            field="filename",
        )
    return filename, data, " ".join(title.split())[:200] if title.isprintable() else ""


def _of_form(request: HttpRequest, limit: int) -> tuple[str, bytes, str]:
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or int(length[:20]) > limit + AROUND_BYTES:
        raise TooLarge(
            _("At most %(limit)d MiB are taken. Split the file.") % {"limit": limit // 2**20},
            field="file",
            limit_bytes=limit,
        )
    try:
        file = request.FILES.get("file")
        title = request.POST.get("title", "")
    except (MultiPartParserError, SuspiciousOperation) as error:
        raise MalformedRequest(_("The body is not multipart/form-data as it should be.")) from error
    if file is None:
        raise InvalidInput(_("Send the file as the form's field “file”."), field="file")
    return file.name or "", file.read(limit + 1), title


def _of_json(request: HttpRequest) -> tuple[str, bytes, str]:
    try:
        sent = DocumentIn.model_validate_json(request.body)
    except ValidationError as error:
        first: Any = error.errors()[0]
        if first["type"] == "json_invalid":
            raise MalformedRequest(_("The body is not valid JSON in UTF-8.")) from error
        field = ".".join(map(str, first["loc"])) or None
        raise InvalidInput(first["msg"], field=field) from error
    return sent.filename, sent.text.encode(), sent.title


def _out(document: Document) -> DocumentOut:
    return DocumentOut.model_validate(document, from_attributes=True)
