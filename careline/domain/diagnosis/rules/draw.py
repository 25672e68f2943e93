"""A guide as a picture: checks on the left, causes in the middle, remedies and hand-over on the right. SVG, self-contained."""

from __future__ import annotations

from html import escape

from careline.domain.diagnosis.rules.guide import Guide

ROW, GAP, WIDTH = 34, 8, 300
COLUMNS = (20, 440, 860)
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1d2733}.small{font-size:11px;fill:#5b6875}"
    "rect{fill:#fff;stroke:#b9c3cd}.cause rect{fill:#fff7e6;stroke:#d9a441}.hand rect{fill:#fdecea;stroke:#c9564a}"
    ".probe rect{fill:#eaf3fb;stroke:#5a93c4}.act rect{fill:#eaf7ee;stroke:#56a06d}path{fill:none;stroke:#93a1af}"
    "@media (prefers-color-scheme:dark){text{fill:#ece7dd}.small{fill:#a29a8b}rect{fill:#2a2722;stroke:#7d7567}"
    ".cause rect{fill:#3a2d14}.hand rect{fill:#44221c}.probe rect{fill:#1f343a}.act rect{fill:#1d3323}}"
)


def svg(guide: Guide) -> str:
    """The picture's text. Boxes are in the guide's order; a line says which outcome speaks of which cause, and which
    remedy removes it."""
    rows = max(len(guide.checks), len(guide.causes), len(guide.remedies) + 1)
    height = 90 + rows * (ROW + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1180 {height}" role="img" aria-label="{escape(guide.title)}"><style>{STYLE}</style>',
        f'<rect width="1180" height="{height}" style="stroke:none"/><text x="20" y="30" style="font-size:18px;font-weight:600">{escape(guide.title)}</text>',
    ]
    for x, words in zip(COLUMNS, ("Checks", "Causes", "Remedies"), strict=True):
        parts.append(f'<text x="{x}" y="58" class="small">{words}</text>')
    top = {}
    for column, names in enumerate(([c.id for c in guide.checks], [c.id for c in guide.causes], [r.id for r in guide.remedies] + ["handover"])):
        for row, name in enumerate(names):
            top[column, name] = 70 + row * (ROW + GAP)
    for check in guide.checks:
        parts += [_line(0, top[0, check.id], 1, top[1, cause]) for cause in check.reads]
    for remedy in guide.remedies:
        parts += [_line(1, top[1, cause], 2, top[2, remedy.id]) for cause in remedy.removes]
    parts += [_line(1, top[1, cause.id], 2, top[2, "handover"]) for cause in guide.causes if cause.handover]
    for check in guide.checks:
        words = check.title or check.say
        parts.append(_box(0, top[0, check.id], words, f"{check.kind}, {check.seconds:g} s, {check.reliability:.1%}", "probe" if check.kind == "probe" else ""))
    for cause in guide.causes:
        parts.append(_box(1, top[1, cause.id], cause.title, f"{cause.lives}, {cause.prior:.1%}", "hand" if cause.handover else "cause"))
    for remedy in guide.remedies:
        parts.append(_box(2, top[2, remedy.id], remedy.title, f"{remedy.by}, {remedy.seconds:g} s", remedy.kind))
    parts.append(_box(2, top[2, "handover"], "Hand over", "", "hand"))
    return "\n".join([*parts, "</svg>"])


def _box(column: int, y: int, words: str, small: str, kind: str) -> str:
    x = COLUMNS[column]
    short = words if len(words) <= 42 else words[:41] + "…"
    return (
        f'<g class="{kind}"><title>{escape(words)}</title><rect x="{x}" y="{y}" width="{WIDTH}" height="{ROW}" rx="5"/>'
        f'<text x="{x + 9}" y="{y + 15}">{escape(short)}</text><text x="{x + 9}" y="{y + 28}" class="small">{escape(small)}</text></g>'
    )


def _line(left: int, y: int, right: int, to: int) -> str:
    a, b = COLUMNS[left] + WIDTH, COLUMNS[right]
    m = (a + b) // 2
    return f'<path d="M{a} {y + ROW // 2}C{m} {y + ROW // 2} {m} {to + ROW // 2} {b} {to + ROW // 2}"/>'
