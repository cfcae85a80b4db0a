"""What MkDocs does not do by itself: documents of other folders as pages, links that leave docs/.

A document that belongs to its folder (a README beside its scripts) is written once, there, and
shown here too. Links between documents work in the repository and, rewritten, on the site; links to
code become plain text on the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
# Document in the repository -> page of the site.
INCLUDED = {
    "datasets/README.md": "datasets.md",
    "examples/own_data/README.md": "own_data.md",
    "embedded/README.md": "embedded.md",
    "CONTRIBUTING.md": "contributing.md",
    "MODEL_ZOO.md": "model_zoo.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the included documents."""
    for source, page in INCLUDED.items():
        text = rewrite_links((ROOT / source).read_text("utf-8"), source, page)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page of docs/."""
    uri = page.file.src_uri
    return markdown if uri in INCLUDED.values() else rewrite_links(markdown, f"docs/{uri}", uri)


def rewrite_links(markdown: str, source: str, page: str) -> str:
    """Links as the site needs them.

    Args:
        markdown: text.
        source: where it stands in the repository.
        page: where it stands on the site.
    """

    def rewrite(match: re.Match[str]) -> str:
        mark, text, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match[0]
        path, _, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if place in INCLUDED:
            place = f"docs/{INCLUDED[place]}"
        if not place.startswith("docs/"):
            return text
        relative = posixpath.relpath(place.removeprefix("docs/"), posixpath.dirname(page) or ".")
        return f"{mark}[{text}]({relative}{'#' + anchor if anchor else ''})"

    parts, end = [], 0
    for block in _CODE.finditer(markdown):  # code stays as it is
        parts += [_LINK.sub(rewrite, markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, _LINK.sub(rewrite, markdown[end:])])
