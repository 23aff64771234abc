"""The report as one HTML file, which needs nothing beside it: for whoever looks after the range."""

import base64
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

Pictures = Mapping[tuple[str, int], bytes]
"""JPEGs by kind of finding and number of its example."""
_REPAIRS = {
    "products.upsert": "publish them from the feed",
    "products.delete": "delete them",
    "products.embed": "look at their pictures again",
    "products.purge": "forget them",
}
_CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html_of(report: Mapping[str, Any], pictures: Pictures) -> str:
    """The page. What comes from the shop is text in it, whatever it looks like."""
    catalog = escape(report["catalog"])
    style = files("worker.audit").joinpath("page.css").read_text()
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Audit of {catalog}</title><style>{style}</style></head><body>",
            f"<header><h1>Audit of {catalog}</h1>{_introduction(report)}</header><main>",
            *_overview(report),
            *_repair(report["repair"]),
            *(line for found in report["findings"] if found["count"] for line in _section(found, pictures)),
            "</main></body></html>",
        ]
    )


def _introduction(report: Mapping[str, Any]) -> str:
    compared = report["compared"]
    feed = compared["feed"]
    lines = [
        f"{compared['products']:,} products with {compared['pictures']:,} pictures",
        f"{compared['tombstones']:,} tombstones, {compared['stubs']:,} ids of which only changes are known",
        *(f"{count:,} objects in {bucket}" for bucket, count in compared["buckets"].items()),
    ]
    if feed is not None:
        lines.append(
            f"{feed['records']:,} records in {feed['uri']}; the index knows {feed['index_is_newer']:,} of "
            f"them in a newer state, and {feed['not_in_it_yet']:,} products that are newer than the feed"
        )
    lines.append(f"made at {report['made_at']} in {report['took_s']} s, encoder {report['encoder']}")
    compared_list = _list("compared", lines)
    if not report["not_looked_at"]:
        return compared_list
    return f"{compared_list}<h2>Not looked at</h2>{_list('left', report['not_looked_at'])}"


def _overview(report: Mapping[str, Any]) -> Iterator[str]:
    verdict = "Nothing was found." if report["clean"] else "What was found"
    yield f'<section aria-labelledby="overview"><h2 id="overview">{verdict}</h2>'
    yield "<table><thead><tr><th scope=col>Finding</th><th scope=col>Number</th></tr></thead><tbody>"
    for found in report["findings"]:
        title, count = escape(found["title"]), f"{found['count']:,}"
        name = f'<a href="#{escape(found["kind"])}">{title}</a>' if found["count"] else title
        yield f"<tr{'' if found['count'] else ' class=none'}><th scope=row>{name}</th><td>{count}</td></tr>"
    yield "</tbody></table></section>"


def _repair(repair: Mapping[str, Any] | None) -> Iterator[str]:
    if repair is None:
        return
    lines = [
        f"{one['products']:,} products in {one['messages']:,} messages {one['event']}: "
        f"{_REPAIRS[one['event']]}"
        for one in repair["published"]
    ]
    yield '<section aria-labelledby="repair"><h2 id="repair">What the repair published</h2>'
    yield _list("compared", lines) if lines else "<p>Nothing.</p>"
    if repair["left"]:
        yield f"<h3>What it left</h3>{_list('left', repair['left'])}"
    yield "</section>"


def _section(found: Mapping[str, Any], pictures: Pictures) -> Iterator[str]:
    kind = escape(found["kind"])
    heading = f"{escape(found['title'])}: {found['count']:,}"
    yield f'<section aria-labelledby="{kind}"><h2 id="{kind}">{heading}</h2>'
    yield f"<p>{escape(found['why'])}</p><p><strong>What to do:</strong> {escape(found['what_to_do'])}</p>"
    if found["repair"]:
        yield f"<p><code>lookalike audit --repair</code> would {_REPAIRS[found['repair']]}.</p>"
    if found["reasons"]:
        yield "<table><thead><tr><th scope=col>Reason</th><th scope=col>Number</th></tr></thead><tbody>"
        for reason, count in found["reasons"].items():
            yield f"<tr><th scope=row>{escape(reason)}</th><td>{count:,}</td></tr>"
        yield "</tbody></table>"
    if len(found["examples"]) < found["count"]:
        yield f"<p>The first {len(found['examples'])}:</p>"
    yield "<ul class=products>"
    for number, example in enumerate(found["examples"]):
        yield _example(example, pictures.get((found["kind"], number)))
    yield "</ul></section>"


def _example(example: Mapping[str, Any], picture: bytes | None) -> str:
    title = example["title"] or ""
    shown = '<div class="picture none">no picture</div>'
    if picture is not None:
        source = base64.b64encode(picture).decode()
        named = escape(f"{title or 'Picture of'} {example['id']}", quote=True)
        shown = f'<img class=picture src="data:image/jpeg;base64,{source}" alt="{named}">'
    lines = [
        f"<strong>{escape(example['id'] or 'no id')}</strong>",
        escape(title),
        escape(", ".join(example["category"] or ())),
        escape(example["detail"]),
        f"<code>{escape(example['image'])}</code>" if example["image"] else "",
        f"and on {escape(', '.join(example['also']))}" if example["also"] else "",
    ]
    return f"<li>{shown}<div>{''.join(f'<p>{line}</p>' for line in lines if line)}</div></li>"


def _list(name: str, lines: list[str]) -> str:
    return f'<ul class="{name}">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'
