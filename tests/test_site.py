"""The site of a leaderboard: that nothing of a stranger's runs in it, that it is small, and that it works in a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from boards import NASTY, changed, fake_bundle, nasty, submitted
from msgspec import structs
from synthbench.publishing.merging import merge
from synthbench.publishing.site import link, svg
from synthbench.publishing.site.svg import Axis
from synthbench.results.claims import Figure
from synthbench.results.model import Results

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

pytestmark = pytest.mark.xdist_group("leaderboard")
POLICY = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'"
WIDTHS = (375, 820, 1440)
FIRST_VIEW = 300_000  # bytes
TOGETHER = "keep rows that are not told apart together"


def apart(results: Results) -> Results:
    """With AP figures that are told apart, and two that are not."""
    means = {"paint x native": 0.70, "paint x teacher": 0.71, "references + painted": 0.30, "real": 0.80, "references": 0.20}
    evidence = results.evidence
    assert evidence

    def figure(old: Figure, mean: float) -> Figure:
        return structs.replace(old, mean=mean, error=0.01, low=mean - 0.0196, high=mean + 0.0196)

    levels = [structs.replace(each, figure=figure(each.figure, means[each.training_set])) for each in evidence.levels]
    return structs.replace(results, evidence=structs.replace(evidence, levels=levels))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard with a bundle whose rows are told apart in two groups, a hostile one, and two others."""
    folder = tmp_path_factory.mktemp("site")
    source = fake_bundle()
    bundles = [changed(source, folder / "apart.zip", apart), *submitted(source, folder, ["Ada"]), nasty(source, folder / "nasty.zip")]
    merge(bundles[:1], folder / "apart")
    merge(bundles, folder / "board")
    return folder / "board"


class Page_(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def pages_of(board: Path) -> list[Path]:
    return [*board.glob("*.html"), *board.glob("entries/*/index.html")]


def test_no_page_has_a_script_style_handler_or_address_of_a_stranger(board: Path) -> None:
    hostile = 0
    for path in pages_of(board):
        text = path.read_text()
        hostile += "&lt;script&gt;alert(1)" in text
        for tag, attributes in Page_(text).tags:
            assert not any(name.startswith("on") or name == "style" for name in attributes), (path, tag, attributes)
            assert tag not in ("style", "iframe", "object", "embed", "base", "form" if "entries" in path.parts else "-")
            if tag == "script":
                assert re.fullmatch(r"site/\w+\.js", attributes["src"] or "")
            for name in ("href", "src", "xlink:href"):
                address = attributes.get(name) or "#"
                assert re.fullmatch(r"(\.\./\.\./)?[\w./-]*(#[\w=&;-]*)?", address), (path, address)
        assert f'content="{POLICY}"' in text or POLICY.replace("'", "&#39;") in text
    assert hostile >= 2, "the hostile names are shown, as text"


@pytest.mark.parametrize("pattern", ["*.svg", "*.js", "*.html", "*.md"])
def test_no_file_has_marks_that_turn_text_around_or_the_hostile_element(board: Path, pattern: str) -> None:
    files = [path for path in board.rglob(pattern) if path.name not in ("board.js", "compare.js")]
    assert files
    for path in files:
        text = path.read_text()
        assert "\u202e" not in text
        assert "\x1b" not in text
        if pattern != "*.js":  # there it is within a string, which only `textContent` gets
            assert "<script>alert" not in text


def test_only_plain_web_addresses_are_links() -> None:
    assert link("https://example.org/a?b=c") == "https://example.org/a?b=c"
    for wrong in ("javascript:alert(1)", "data:text/html,x", " https://a.org", 'https://a.org/"onclick=', "https://a.org/\n", "//a.org"):
        assert link(wrong) == "", wrong


def test_the_first_view_of_a_hundred_entries_is_under_300_kb(tmp_path: Path) -> None:
    source = fake_bundle()

    def many(results: Results) -> Results:
        """One detector and 100 generated sets."""
        assert results.evidence
        sets = [each for each in results.training_sets if each.kind in ("real", "references")]
        model = next(each for each in results.training_sets if each.kind == "generated")
        level = next(each for each in results.evidence.levels if each.training_set == model.name)
        gap = next(each for each in results.evidence.differences if each.training_set == model.name and each.base == "real")
        names = [f"a generator with a name {number} x teacher" for number in range(100)]
        evidence = structs.replace(
            results.evidence,
            levels=[*results.evidence.levels, *(structs.replace(level, training_set=name) for name in names)],
            differences=[*results.evidence.differences, *(structs.replace(gap, training_set=name) for name in names)],
        )
        rows = [*sets, *(structs.replace(model, name=name) for name in names)]
        suite = structs.replace(results.suite, detectors=results.suite.detectors[:1])
        return structs.replace(results, training_sets=rows, evidence=evidence, suite=suite)

    merge([changed(source, tmp_path / "many.zip", many)], tmp_path / "board")
    text = (tmp_path / "board" / "index.html").read_text()
    assert text.count('data-kind="generative"') == 100
    loaded = [tmp_path / "board" / name for name in ("index.html", "site/style.css", "site/board.js")]
    assert {*re.findall(r'(?:href|src)="(site/[^"]+)"', text)} == {"site/style.css", "site/board.js"}
    assert "<img" not in text
    assert sum(path.stat().st_size for path in loaded) < FIRST_VIEW


def test_axes_have_round_ticks_within_their_range() -> None:
    assert Axis(-0.21, 0.04, 0, 1).ticks() == [-0.2, -0.1, 0.0]
    assert Axis(0.3, 0.5, 0, 100).ticks() == [0.3, 0.35, 0.4, 0.45, 0.5]
    assert Axis(10, 1000, 0, 100, logarithmic=True).at(100) == pytest.approx(50)
    assert Axis(0, 1, 0, 100).at(7) == 100, "what is beyond an end is drawn at it"


def test_charts_escape_their_labels() -> None:
    drawn = svg.forest([(NASTY, Figure(mean=0.1, replicates=1))], 0.05, NASTY)
    assert "<script" not in drawn
    assert "<img" not in drawn
    assert 'onerror="' not in drawn


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium: the site was not opened in a browser")
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright: the site was not opened in a browser")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])  # root, in containers
        yield opened
        opened.close()


class Visit:
    """A page in a browser, with all that it says and asks for."""

    def __init__(self, browser: Browser, path: Path, address: str = "", **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        said, asked = self.said.append, self.asked.append
        self.page.on("console", lambda message: said(message.text))
        self.page.on("pageerror", lambda error: said(str(error)))
        self.page.on("dialog", self.dismiss)
        self.page.on("request", lambda request: asked(request.url))
        self.page.goto(path.resolve().as_uri() + address)

    def dismiss(self, dialog: Dialog) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()

    def names(self, table: int = 0) -> list[str]:
        """The shown training sets of a table, from top to bottom."""
        rows = self.page.locator("table.board").nth(table).locator("tbody tr:not(.group):visible th a")
        return rows.all_text_contents()


def test_pages_load_without_errors_and_ask_for_nothing_outside_of_their_folder(browser: Browser, board: Path) -> None:
    for path in pages_of(board):
        with Visit(browser, path) as visit:
            visit.page.wait_for_load_state()
            assert visit.said == []
            assert visit.asked
            assert all(address.startswith(board.resolve().as_uri()) for address in visit.asked), visit.asked


def test_all_links_lead_to_a_place_that_is_there(board: Path) -> None:
    ids = {path.resolve(): set(re.findall(r'id="([^"]+)"', path.read_text())) for path in pages_of(board)}
    checked = 0
    for path in pages_of(board):
        for tag, attributes in Page_(path.read_text()).tags:
            address = attributes.get("href" if tag in ("a", "link") else "src")
            if not address:
                continue
            name, _, place = address.partition("#")
            target = (path.parent / name).resolve() if name else path.resolve()
            assert target.is_file(), (path, address)
            if place and "=" not in place:
                assert place in ids[target], (path, address)
            checked += 1
    assert checked > 50


def test_sorting_keeps_rows_that_are_not_told_apart_together(browser: Browser, board: Path) -> None:
    with Visit(browser, board.parent / "apart" / "index.html") as visit:
        page = visit.page
        groups = page.locator("table.board").first.locator("tr.group").all_text_contents()
        assert [text.strip() for text in groups][:2] == ["Ranks 1 to 2: the scores do not tell these 2 rows apart", "Rank 3"]
        by_rank = ["paint x teacher", "paint x native", "references + painted", "real", "references"]
        assert visit.names() == by_rank
        page.get_by_role("button", name="Training set").first.click()
        assert visit.names() == ["paint x native", "paint x teacher", "references + painted", "real", "references"]
        page.get_by_role("button", name="Training set").first.click()
        assert visit.names() == ["paint x teacher", "paint x native", "references + painted", "references", "real"]
        page.get_by_role("button", name="Rank").first.click()
        page.get_by_role("button", name="Rank").first.click()
        assert visit.names()[0] == "references + painted", "the groups turn around, whole"
        assert page.locator('th[aria-sort="descending"]').first.inner_text().startswith("Rank")
        page.get_by_label(TOGETHER).uncheck()
        page.get_by_role("button", name="AP, 95").first.click()
        assert visit.names() == ["real", "paint x teacher", "paint x native", "references + painted", "references"]
        assert page.locator("tr.group:visible").count() == 0
        ranks = page.locator("table.board").first.locator("tbody tr:not(.group):visible td:first-child").all_text_contents()
        assert ranks == ["–", "1–2", "1–2", "3", "–"], "ties keep their common ranks in any order"  # noqa: RUF001
        page.get_by_role("button", name="Clear").click()
        page.wait_for_timeout(50)
        assert page.locator("tr.group:visible").count() == 6
        assert visit.said == []


def test_filtering_says_how_many_rows_are_left_and_that_ranks_are_those_of_all(browser: Browser, board: Path) -> None:
    with Visit(browser, board / "index.html") as visit:
        page = visit.page
        before = page.locator("#count").inner_text()
        page.get_by_label("Search").fill("ada teacher")
        assert visit.names() == ["paint x teacher"]
        assert re.fullmatch(r"2 of \d+ rows; ranks are those among all rows", page.locator("#count").inner_text())
        page.get_by_label("Checked").select_option("re-scored")
        assert visit.names() == []
        assert page.locator("tr.group:visible").count() == 0
        page.get_by_role("button", name="Clear").click()
        page.wait_for_timeout(50)
        assert page.locator("#count").inner_text() == before
        page.get_by_label("Kind").select_option("mix")
        assert {*visit.names()} == {"references + painted"}


def test_a_table_is_sorted_with_the_keyboard_alone(browser: Browser, board: Path) -> None:
    with Visit(browser, board.parent / "apart" / "index.html") as visit:
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.className") == "skip"
        visit.page.get_by_role("button", name="Training set").first.focus()
        visit.page.keyboard.press("Enter")
        assert visit.names()[0] == "paint x native"


def test_without_scripts_the_table_is_there_and_no_control_is(browser: Browser, board: Path) -> None:
    with Visit(browser, board / "index.html", java_script_enabled=False) as visit:
        assert len(visit.names()) > 5
        assert not visit.page.locator("#controls").is_visible()


def test_the_address_of_a_row_marks_it(browser: Browser, board: Path) -> None:
    row = re.search(r'<tr id="([0-9a-f]{12}-\d+)"', (board / "index.html").read_text())
    assert row
    with Visit(browser, board / "index.html", f"#{row[1]}") as visit:
        marked = "getComputedStyle(document.querySelector('tr:target > td')).backgroundColor"
        assert visit.page.evaluate(marked) == "rgb(255, 244, 194)"


def test_two_entries_are_compared_with_a_slider_over_the_score(browser: Browser, board: Path) -> None:
    with Visit(browser, board / "compare.html") as visit:
        page = visit.page
        page.locator(".pair").first.wait_for()
        assert page.locator(".pair").count() == 6
        page.locator("#left").select_option(index=2)
        page.get_by_label("Score at least").fill("0")
        page.locator("#score").dispatch_event("change")
        boxes = page.locator(".pair rect.box:not(.true)").count()
        assert boxes > 0
        assert page.locator(".pair rect.true").count() > 0
        page.get_by_label("Score at least").fill("1")
        assert page.locator(".pair rect.box:not(.true)").count() < boxes
        page.get_by_label("true boxes").uncheck()
        assert page.locator(".pair rect.true").count() == 0
        address = page.url
        assert "#a=" in address
        assert visit.said == []
        hostile = page.locator("option", has_text="<script>alert(1)</script>")
        assert hostile.count() > 0
    with Visit(browser, board / "compare.html", f"#{address.partition('#')[2]}") as again:
        assert again.page.locator("#left").evaluate("select => select.selectedIndex") == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_phones_to_desktops_and_axe_finds_nothing_serious(browser: Browser, board: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: accessibility was not checked").Axe()
    grounds = set()
    for path in pages_of(board):
        with Visit(browser, path, color_scheme=scheme) as visit:
            for width in WIDTHS:
                visit.page.set_viewport_size({"width": width, "height": 900})
                visit.page.wait_for_timeout(50)
                assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            grounds.add(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    for path in pages_of(board)[:4]:
        # axe runs as a script of the test's, which the pages' policy would not let in.
        with Visit(browser, path, color_scheme=scheme, bypass_csp=True) as visit:
            found = axe.run(visit.page).response["violations"]
            assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")] == []
    assert grounds == {"rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 27)"}


def test_a_printed_page_has_the_table_and_no_controls(browser: Browser, board: Path) -> None:
    with Visit(browser, board / "index.html") as visit:
        visit.page.emulate_media(media="print")
        assert not visit.page.locator("#controls").is_visible()
        assert len(visit.names()) > 5
        assert visit.page.pdf()[:5] == b"%PDF-"
