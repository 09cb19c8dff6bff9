"""Pictures of README and docs: each is there, and says in words what it shows."""

import re

import pytest

from tests.command import ROOT

PAGES = [ROOT / "README.md", *sorted(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts)]
PICTURE = re.compile(r"!\[([^\]]*)\]\(\s*([^)\s]+)[^)]*\)|<img\b([^>]*)>|^:*`*\{(?:image|figure)\}(.*(?:\n:.*)*)", re.M)
PICTURES = [(page, found) for page in PAGES for found in PICTURE.finditer(page.read_text("utf-8"))]


def told(found):
    """(the alternative text, the path) of a picture, of Markdown, HTML or a directive."""
    text, path, html, directive = found.groups()
    if html is not None:
        return tuple((re.findall(rf'\b{name}="([^"]*)"', html) or [""])[0] for name in ("alt", "src"))
    if directive is not None:
        return (re.findall(r"^:alt:\s*(.*)$", directive, re.M) or [""])[0], directive.split()[0]
    return text, path


@pytest.mark.parametrize(("page", "found"), PICTURES, ids=lambda value: getattr(value, "name", None) or told(value)[1])
def test_a_picture_is_there_and_its_alternative_text_says_what_it_shows(page, found):
    text, path = told(found)
    assert "://" in path or (page.parent / path).exists()
    assert len(text.split()) >= 4, f"say what {path} shows, not only what it is"
    assert len(text) <= 250, f"{path}: what needs more belongs into the text beside it"
    assert not re.search(r"\.(png|svg|jpg|webp)\b", text)


def test_the_pictures_of_one_page_are_told_apart():
    for page in PAGES:
        texts = [told(found)[0] for where, found in PICTURES if where == page]
        assert len(texts) == len(set(texts)), page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("![time against length](a.png)", ("time against length", "a.png")),
        ('![time](a.png "a title")', ("time", "a.png")),
        ('<img src="a.png" alt="time" width="49%">', ("time", "a.png")),
        ('<img src="a.png">', ("", "a.png")),
        ("```{image} a.png\n:width: 9em\n:alt: time\n```", ("time", "a.png")),
        (":::{figure} a.png\n:::", ("", "a.png")),
    ],
)
def test_every_way_to_show_a_picture_is_known(text, expected):
    assert told(PICTURE.search(text)) == expected


def test_pages_with_pictures_were_read():
    assert {"README.md", "first-run.md", "page.md", "study.md", "gpu.md"} <= {page.name for page, _ in PICTURES}
