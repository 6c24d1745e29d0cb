"""PDF, DOCX and XLSX files as people make them, and as people with bad intentions make them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import docx
import openpyxl
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from PIL import Image
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    ListFlowable,
    ListItem,
    PageTemplate,
    Paragraph,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

STYLES = getSampleStyleSheet()
BODY, H1, H2, TITLE = (STYLES[name] for name in ("BodyText", "Heading1", "Heading2", "Title"))
SENTENCES = (
    "We deliver parcels to every country of the union within five business days.",
    "Customs may hold a parcel back for an inspection of what is in it, which takes another week.",
    "The value on the label must be the value on the invoice.",
    "A parcel that comes back unopened is sent out again at no charge.",
)


def prose(number: int, sentences: int = 6) -> str:
    """A paragraph that begins with its own number."""
    said = " ".join(SENTENCES[(number + i) % len(SENTENCES)] for i in range(sentences))
    return f"Note {number}. {said}"


def pdf(story: Sequence[Any], on_page: Callable[..., None] | None = None, **options: Any) -> bytes:
    """A PDF of flowing text."""
    out = io.BytesIO()
    draw = {"onFirstPage": on_page, "onLaterPages": on_page} if on_page else {}
    SimpleDocTemplate(out, pagesize=A4, **options).build(list(story), **draw)
    return out.getvalue()


def handbook(chapters: int = 3) -> bytes:
    """A handbook of several pages: title, chapters, sections, lists, a ruled table, running head and foot."""
    story: list[Any] = [Paragraph("Customer handbook", TITLE)]
    for chapter in range(1, chapters + 1):
        story.append(Paragraph(f"{chapter}. Parcels of kind {chapter}", H1))
        story.append(Paragraph(prose(10 * chapter), BODY))
        for section in (1, 2):
            story.append(Paragraph(f"{chapter}.{section} Delivery in case {section}", H2))
            story += [Paragraph(prose(10 * chapter + section + i), BODY) for i in (1, 2, 3)]
            points = [Paragraph(f"Point {n} of {chapter}.{section}", BODY) for n in (1, 2)]
            story.append(ListFlowable([ListItem(point) for point in points], bulletType="bullet"))
        story.append(ruled([["Country", "Time", "Price"], ["Norway", "3-5 days", f"{chapter}.90 EUR"]]))
    return pdf(story, _head_and_foot)


def _head_and_foot(canvas: Canvas, document: Any) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.drawString(60, A4[1] - 30, "Alder & Co. service documents")
    canvas.drawCentredString(A4[0] / 2, 25, f"Page {document.page} of 9")


def ruled(rows: list[list[str]], *extra: Any, **options: Any) -> Table:
    """A table with lines around its cells."""
    table = Table(rows, **options)
    table.setStyle(TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black), *extra]))
    return table


def two_columns(paragraphs: int = 8) -> bytes:
    """Prose in two columns under a heading each."""
    out = io.BytesIO()
    document = BaseDocTemplate(out, pagesize=A4)
    frames = [Frame(50, 50, 235, 700, id="left"), Frame(310, 50, 235, 700, id="right")]
    document.addPageTemplates(PageTemplate(frames=frames))
    story: list[Any] = []
    for number in range(1, paragraphs + 1):
        story += [Paragraph(f"Topic {number}", H2), Paragraph(prose(number, 9), BODY)]
    document.build(story)
    return out.getvalue()


def chinese() -> bytes:
    """A page in Chinese, in a font every reader has."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    body = ParagraphStyle("body", fontName="STSong-Light", fontSize=11, leading=16, wordWrap="CJK")
    head = ParagraphStyle("head", parent=body, fontSize=17, leading=24)
    text = "您可以在收到商品后三十天内申请退货，商品应保持完好并附带原包装，退款将在五个工作日内原路返回。"
    return pdf(
        [
            Paragraph("退货政策", head),
            Paragraph(text * 2, body),
            Paragraph("配送", head),
            Paragraph("三到五天。", body),
        ]
    )


def lines(*pages: Sequence[tuple[float, float, str]], size: float = 11, **options: Any) -> bytes:
    """A PDF of lines at (x, y from the top, words), in the plainest way."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, **options)
    for page in pages:
        canvas.setFont("Helvetica", size)
        for x, y, words in page:
            canvas.drawString(x, A4[1] - y, words)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def scanned(pages: int = 2) -> bytes:
    """Pages that are pictures."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    picture = ImageReader(Image.new("RGB", (60, 80), "white"))
    for _page in range(pages):
        canvas.drawImage(picture, 0, 0, *A4)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def swollen_pdf(unpacked_bytes: int) -> bytes:
    """A PDF whose page unpacks to a great deal of white space."""
    content = zlib.compress(b" " * unpacked_bytes, 9)
    return _page_of(content, b"/Filter /FlateDecode")


def unmapped_pdf() -> bytes:
    """A PDF whose font says which shapes to print and not which letters those are."""
    return _page_of(
        b"BT /F 12 Tf 60 700 Td <" + b"00410042" * 40 + b"> Tj ET",
        b"",
        b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts [6 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /CIDSystemInfo "
        b"<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor 7 0 R >>",
        b"<< /Type /FontDescriptor /FontName /X /Flags 4 /FontBBox [0 0 9 9] /Ascent 9 /Descent 0 >>",
    )


def _page_of(content: bytes, packed: bytes, *more: bytes) -> bytes:
    """A PDF of one page by hand; object 5 is its font F."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R"
        b" /Resources << /Font << /F 5 0 R >> >> >>",
        b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), packed, content),
        *more,
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, words in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, words)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return bytes(out) + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer


def word(make: Callable[[Any], None]) -> bytes:
    """A DOCX; `make` is given python-docx's empty document."""
    document = docx.Document()
    make(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def returns_docx() -> bytes:
    """A Word document as an office writes it: styles, lists, a table without a header style, bold lines."""

    def make(document: Any) -> None:
        document.add_heading("Returns", 1)
        document.add_paragraph("You may return goods within ").add_run("30 days").bold = True
        document.paragraphs[-1].add_run(".")
        document.add_heading("Refunds", 2)
        for words in ("Pack the goods.", "Print the label."):
            document.add_paragraph(words, style="List Number")
        table(document, [("Country", "Time"), ("Norway", "3-5 days"), ("Germany", "1-2 days")])
        document.add_paragraph().add_run("Can I return sale items?").bold = True
        document.add_paragraph("Yes, within 14 days.")

    return word(make)


def table(document: Any, rows: Sequence[Sequence[str]]) -> Any:
    """Add a table to a Word document."""
    made = document.add_table(rows=len(rows), cols=len(rows[0]))
    for row, words in zip(made.rows, rows, strict=True):
        for cell, said in zip(row.cells, words, strict=True):
            cell.text = said
    return made


def changed(paragraph: Any, words: str, kind: str) -> None:
    """Add words to a Word paragraph as a tracked change: "ins", "del", "moveTo" or "moveFrom"."""
    change = OxmlElement(f"w:{kind}")
    change.set(qn("w:id"), "1")
    change.set(qn("w:author"), "A")
    run = paragraph.add_run("")._r
    text = OxmlElement("w:delText" if kind == "del" else "w:t")
    text.text = words
    text.set(qn("xml:space"), "preserve")
    run.append(text)
    paragraph._p.append(change)
    change.append(run)


def workbook(**sheets: Sequence[Sequence[Any]]) -> bytes:
    """An XLSX with a sheet of rows for each name."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    return saved(book)


def saved(book: Any) -> bytes:
    """The bytes of an openpyxl workbook."""
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def rezipped(data: bytes, change: Callable[[str, bytes], bytes], **added: bytes) -> bytes:
    """An archive with its files changed and some added, packed as tightly as can be."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, content in added.items():
            new.writestr(name, content)
    return out.getvalue()


def with_entity(data: bytes, encoding: str = "utf-8", part: str = "word/document.xml") -> bytes:
    """A DOCX or XLSX whose main part wants a file of the machine that reads it."""

    def change(name: str, content: bytes) -> bytes:
        if name != part:
            return content
        _declaration, _end, xml = content.decode().partition("?>")
        doctype = '<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'
        return f'<?xml version="1.0" encoding="{encoding}"?>{doctype}{xml}'.encode(encoding)

    return rezipped(data, change)
