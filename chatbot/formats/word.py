"""DOCX to parts, through mammoth's HTML.

Tracked changes are read as accepted; headers, footers, comments, hidden text, pictures, the table of
contents and macros are not read.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import BinaryIO

import mammoth
from bs4 import BeautifulSoup, Tag
from lxml import etree

from chatbot.formats.markup import all_bold, parts_of, words_of
from chatbot.formats.parts import Part
from chatbot.formats.prose import ends_sentence

PSEUDO_HEADING_CHARS = 100
"""Longest paragraph in bold type that is taken for a heading, in characters."""
_HEADING_STYLE = re.compile(r"heading ([1-9])", re.IGNORECASE)
_CONTENTS_STYLE = re.compile(r"toc (\d|heading)|contents (\d|heading)", re.IGNORECASE)
_OFF = {"0", "false", "off"}


def read(stream: BinaryIO) -> list[Part]:
    """The parts of a DOCX that `archive.check` let through."""
    with zipfile.ZipFile(stream) as archive:
        styles = _style_map(archive)
        visible = _without_hidden(archive)
    stream.seek(0)
    made = mammoth.convert_to_html(
        visible or stream,
        style_map=styles,
        include_embedded_style_map=False,
        convert_image=mammoth.images.img_element(lambda _image: {}),
    )
    soup = BeautifulSoup(made.value, "lxml")
    _tidy(soup)
    return list(parts_of(soup))


def _style_map(archive: zipfile.ZipFile) -> str:
    """Mammoth's mapping for every paragraph style that is a heading by name, outline level or descent."""
    if "word/styles.xml" not in archive.namelist():
        return ""
    based_on: dict[str, str] = {}
    levels: dict[str, int] = {}
    names: dict[str, str] = {}
    for style in _parsed(archive.read("word/styles.xml")).iterfind("{*}style"):
        if _attribute(style, "type") != "paragraph":
            continue
        id_ = _attribute(style, "styleId")
        names[id_] = _value(style, "{*}name")
        based_on[id_] = _value(style, "{*}basedOn")
        outline = _value(style, "{*}pPr/{*}outlineLvl")
        if named := _HEADING_STYLE.fullmatch(names[id_]):
            levels[id_] = int(named[1])
        elif outline.isdecimal() and int(outline) < 9:
            levels[id_] = int(outline) + 1
    lines = []
    for id_, name in names.items():
        level = next((levels[parent] for parent in _line_of(id_, based_on) if parent in levels), 0)
        if _CONTENTS_STYLE.fullmatch(name):
            lines.append(f"p[style-name='{name}'] => !")
        elif name.lower() == "title":
            lines.append(f"p[style-name='{name}'] => h1.title:fresh")
        elif level and not re.search(r"['\\\n]", name):
            lines.append(f"p[style-name='{name}'] => h{min(level, 6)}:fresh")
    return "\n".join(lines)


def _line_of(style: str, based_on: dict[str, str]) -> list[str]:
    """The style and those it is based on; a circle ends it."""
    line: list[str] = []
    while style and style not in line:
        line.append(style)
        style = based_on.get(style, "")
    return line


def _without_hidden(archive: zipfile.ZipFile) -> io.BytesIO | None:
    """A copy of the archive without hidden text and without media; None when nothing is hidden."""
    hidden = [
        name
        for name in archive.namelist()
        if re.fullmatch(r"word/(document|footnotes|endnotes)\w*\.xml", name)
        and b"vanish" in archive.read(name)
    ]
    if not hidden:
        return None
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as target:
        for name in archive.namelist():
            if not name.endswith((".xml", ".rels")):
                continue
            data = archive.read(name)
            if name in hidden:
                root = _parsed(data)
                for run in list(root.iter("{*}r")):
                    mark = run.find("{*}rPr/{*}vanish")
                    if mark is not None and _attribute(mark, "val").lower() not in _OFF:
                        for child in list(run):
                            run.remove(child)
                data = etree.tostring(root)
            target.writestr(name, data)
    copy.seek(0)
    return copy


def _tidy(soup: BeautifulSoup) -> None:
    """Marks of notes and pictures out; headings under a title; bold lines by themselves as headings."""
    for mark in soup.select('img, sup:has(> a[href^="#footnote-"]), sup:has(> a[href^="#endnote-"])'):
        mark.decompose()
    for back in soup.select('a[href^="#footnote-ref"], a[href^="#endnote-ref"]'):
        back.decompose()
    if soup.select("h1.title"):
        for heading in soup.select("h1:not(.title), h2, h3, h4, h5"):
            heading.name = f"h{int(heading.name[1]) + 1}"
    bold = [p for p in soup.select("body > p") if _is_pseudo_heading(p)]
    for paragraph in bold:
        following = paragraph.find_next_sibling()
        is_text = isinstance(following, Tag) and following.name in {"p", "ul", "ol", "table"}
        if is_text and not any(following is other for other in bold):
            paragraph["data-heading"] = "yes"
    for paragraph in soup.select("p[data-heading]"):
        paragraph.name = "h6"


def _is_pseudo_heading(paragraph: Tag) -> bool:
    words = words_of(paragraph)
    is_sentence = ends_sentence(words) and not words.endswith(("?", "？"))
    return bool(words) and len(words) <= PSEUDO_HEADING_CHARS and not is_sentence and all_bold(paragraph)


def _parsed(data: bytes) -> etree._Element:
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))


def _value(element: etree._Element, path: str) -> str:
    found = element.find(path)
    return "" if found is None else _attribute(found, "val")


def _attribute(element: etree._Element, name: str) -> str:
    return next((str(v) for k, v in element.attrib.items() if etree.QName(k).localname == name), "")
