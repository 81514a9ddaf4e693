"""Print for paper: cheques to be filled in by hand, codes to claim an account, receipts.

Black on white in large type, with every word of the interface's language; what a person writes has
a line of its own. A page is one A4 sheet with three cheques, to be cut apart.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import segno

from maillon.node.i18n import _, language

CHEQUES_A_SHEET: Final = 3
_QR_BORDER: Final = 4
_WIDTH, _HEIGHT = 1_000, 440
"""Of one cheque in the SVG's units: 200 by 88 millimetres, of which three fit an A4 page."""

_STYLE: Final = """
@page { size: A4; margin: 10mm }
body { font: 14pt/1.35 "DejaVu Sans", Verdana, sans-serif; color: #000; margin: 0 }
h1 { font-size: 18pt; margin: 0 0 3mm } h2 { font-size: 15pt; margin: 0 0 2mm }
.cheque { border: 1px dashed #000; padding: 4mm; margin: 0 0 4mm; break-inside: avoid;
  box-sizing: border-box; display: flex; gap: 5mm; height: 89mm; overflow: hidden }
.cheque .words { flex: 1 } .cheque svg { width: 50mm; height: 50mm }
.cheque .qr { width: 50mm }
.line { border-bottom: 1px solid #000; height: 11mm; margin: 0 0 1.5mm; font-size: 11pt }
.code { font: bold 11.5pt monospace; margin: 3mm 0 0 } .small { font-size: 10pt; margin: 2mm 0 0 }
@media screen { body { max-width: 190mm; margin: 10mm auto } }
table { border-collapse: collapse; width: 100% }
th, td { border: 1px solid #000; padding: 1.5mm 2mm; text-align: left; vertical-align: top }
"""


@dataclass(frozen=True, slots=True)
class Cheque:
    """What is printed on one cheque."""

    coop: str
    name: str
    number: int
    code: str
    qr: str
    unit: str
    most: str
    expires: int


def day(time: int) -> str:
    """Return a day (UTC) as people of the language write it."""
    found = datetime.fromtimestamp(time, UTC)
    # Translators: a date; Y, M, D are its numbers.
    return _("{D}/{M}/{Y}").format(D=f"{found.day:02}", M=f"{found.month:02}", Y=found.year)


def moment(time: int) -> str:
    """Return a day and an hour (UTC)."""
    return f"{day(time)} {datetime.fromtimestamp(time, UTC):%H:%M}"


def qr_svg(text: str, *, scale: int = 4) -> str:
    """Return a QR code as an SVG element of its own, with medium error correction."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out, kind="svg", scale=scale, border=_QR_BORDER, xmldecl=False, svgns=True, omitsize=True
    )
    return out.getvalue().decode("utf-8").strip()


def page(title: str, body: str) -> str:
    """Return an HTML page to print."""
    return (
        f'<!doctype html>\n<html lang="{language()}"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _fields() -> tuple[str, ...]:
    return _("Amount"), _("Paid to"), _("Date"), _("Signature")


def cheques_html(cheques: Sequence[Cheque]) -> str:
    """Return a page with all cheques of a book, three on each sheet of A4."""
    parts: list[str] = []
    for cheque in cheques:
        said = _words(cheque)
        lines = "".join(f'<div class="line">{html.escape(name)} :</div>' for name in _fields())
        most = f" – {html.escape(said.most)}" if said.most else ""
        parts.append(
            '<div class="cheque"><div class="words">'
            f"<h2>{html.escape(said.title)}</h2>"
            f"<div>{html.escape(said.account)}</div>"
            f"<div><b>{html.escape(said.number)}</b> ({html.escape(cheque.unit)}){most}</div>"
            f'{lines}<div class="code">{html.escape(cheque.code)}</div>'
            f'</div><div class="qr">{qr_svg(cheque.qr)}'
            f'<div class="small">{html.escape(said.until)}</div>'
            f'<div class="small">{html.escape(said.where)}</div></div></div>'
        )
    return page(_("Time cheques"), "".join(parts))


@dataclass(frozen=True, slots=True)
class _Words:
    """The sentences of one cheque, in the language of the sheet."""

    title: str
    account: str
    number: str
    most: str
    until: str
    where: str


def _words(cheque: Cheque) -> _Words:
    # Each word is asked for by itself: inside of another string no translator would find it.
    kind = _("Time cheque")
    return _Words(
        title=f"{cheque.coop[:32]} – {kind}",
        account=_("From the account of {name}").format(name=cheque.name[:40]),
        number=_("No. {n}").format(n=cheque.number),
        most=_("At most {amount}").format(amount=cheque.most) if cheque.most else "",
        until=_("To be deposited before {day}").format(day=day(cheque.expires)),
        where=_("At any coop of the federation; paid once."),
    )


def cheques_svg(cheques: Sequence[Cheque]) -> list[str]:
    """Return sheets of three cheques as SVG pictures, for printers without a browser."""
    return [
        _sheet(cheques[start : start + CHEQUES_A_SHEET])
        for start in range(0, len(cheques), CHEQUES_A_SHEET)
    ]


def _sheet(cheques: Sequence[Cheque]) -> str:
    height = _HEIGHT * CHEQUES_A_SHEET
    parts = [_drawn(cheque, _HEIGHT * place) for place, cheque in enumerate(cheques)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="200mm" height="264mm" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="DejaVu Sans, Verdana, sans-serif">'
        f"{''.join(parts)}</svg>\n"
    )


def _text(x: int, y: int, size: int, words: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" {more}>{html.escape(words)}</text>'


def _drawn(cheque: Cheque, top: int) -> str:
    said = _words(cheque)
    parts = [
        f'<rect x="5" y="{top + 5}" width="{_WIDTH - 10}" height="{_HEIGHT - 10}" fill="none" '
        'stroke="black" stroke-dasharray="8 6"/>',
        _text(25, top + 48, 30, said.title),
        _text(25, top + 84, 24, said.account),
        _text(25, top + 120, 24, f"{said.number} ({cheque.unit})", 'font-weight="bold"'),
    ]
    if said.most:
        parts.append(_text(330, top + 120, 22, said.most))
    for place, name in enumerate(_fields()):
        y = top + 172 + 52 * place
        parts.append(_text(25, y, 22, f"{name} :"))
        parts.append(f'<path d="M170 {y + 4} H690" stroke="black"/>')
    parts.append(_text(25, top + 378, 22, cheque.code, 'font-family="monospace"'))
    parts.append(_text(25, top + 414, 20, f"{said.until} – {said.where}"))
    code = segno.make(cheque.qr, error="m", micro=False)
    side = code.symbol_size(border=_QR_BORDER)[0]
    scale = 290 / side
    path = "".join(
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(code.matrix_iter(border=_QR_BORDER))
        for x, dark in enumerate(row)
        if dark
    )
    parts.append(
        f'<g transform="translate(700 {top + 70}) scale({scale:.4f})"><path d="{path}"/></g>'
    )
    return "".join(parts)


def code_html(title: str, name: str, words: Sequence[str], code: str, qr: str) -> str:
    """Return a page with one code, for typing and for reading."""
    told = "".join(f"<p>{html.escape(line)}</p>" for line in words)
    body = (
        f"<h1>{html.escape(title)}</h1><p><b>{html.escape(name)}</b></p>{told}"
        f'<p class="code">{html.escape(code)}</p><div style="width:60mm">{qr_svg(qr)}</div>'
    )
    return page(title, body)


def table_html(title: str, words: Sequence[str], columns: Sequence[str],
               rows: Sequence[Sequence[str]]) -> str:  # fmt: skip
    """Return a page with one table."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    told = "".join(f"<p>{html.escape(line)}</p>" for line in words)
    return page(title, f"<h1>{html.escape(title)}</h1>{told}<table><tr>{head}</tr>{lines}</table>")
