"""The page in a real browser: Playwright drives a Chromium that is installed on the machine.

``pip install playwright`` and ``apt-get install chromium`` are enough; nothing is downloaded.
"""

import os
import re
import shutil

import cv2
import numpy as np
import pytest

from dvps_d2.metrics import get_protocol
from dvps_d2.report import ReportSettings, write_report
from tests.report.drawings import CLASSES, COLORS, draw

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the page's tests drive a browser with playwright"
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TRUTH = ["AAAARRRR/AAAARRRR/BBBBRRRR/BBBBSSSS"] * 3
PRED = [
    "aaaaRRRR/aaaaRRRR/bbbbRRRR/bbbbSSSS",
    "aaaaRRRR/aaaaRRRR/bbbbRRRR/bbbbSSSS",
    "ccccRRRR/ccccRRRR/RRRRRRRR/ppppSSSS",
]


@pytest.fixture(scope="module")
def browser():
    found = os.environ.get("DVPS_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield instance
        instance.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A page of three videos of three frames; in the last frame of the worst all goes wrong."""
    folder = tmp_path_factory.mktemp("page")
    images = [folder / f"{number}.png" for number in range(3)]
    for number, image in enumerate(images):
        assert cv2.imwrite(str(image), np.full((4, 8, 3), 80 * number, np.uint8))
    depth = np.full((4, 8), 15, np.float32), np.full((4, 8), 10, np.float32)
    shown = {"depth": depth, "images": images}
    videos = [
        draw("perfect", TRUTH, PRED[:1] * 3, **shown),
        draw("worst", TRUTH, PRED, scores={(3, 1): 0.75}, **shown),
        draw("unlabelled", [None] * 3, PRED, images=images),
    ]
    protocol = get_protocol("cityscapes_dvps", windows=(1, 2), lambdas=(0.5, 0.1))
    path = folder / "report.html"
    settings = ReportSettings(title="toy", dataset="drawings")
    write_report(path, videos, protocol, CLASSES, COLORS, settings, quiet=True)
    return path


@pytest.fixture
def open_page(browser, page_file):
    """Open the page; at the end, nothing may have been complained about or asked from the net."""
    problems, contexts = [], []

    def make(address="", **options):
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: problems.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                problems.append(request.url) if not re.match("file:|data:", request.url) else None
            ),
        )
        page.goto(f"file://{page_file}{address}")
        page.wait_for_selector("html[data-ready]", timeout=20_000)
        return page

    yield make
    for context in contexts:
        context.close()
    assert problems == []


def frame_name(page):
    return page.inner_text("#frame-name")


def shows(page, frame):
    """Wait until a frame is shown."""
    has_text(page, "#frame-name", f"{frame} / 3")


def has_text(page, selector, text):
    """Wait for a text; Playwright's own wait, as the page allows no code from strings."""
    playwright.expect(page.locator(selector)).to_have_text(text)


def pixel(page, x, y):
    """(r, g, b, a) of the overlay at a place given in parts of its size."""
    return page.evaluate(
        """([x, y]) => { const canvas = document.querySelector('#overlay');
        const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const context = copy.getContext('2d', { willReadFrequently: true });
        context.drawImage(canvas, 0, 0);
        return [...context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data]; }""",
        [x, y],
    )


def point_at(page, x, y):
    box = page.locator("#overlay").bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_it_starts_with_the_worst_video(open_page):
    page = open_page()
    assert page.inner_text("#video-name") == "worst"
    assert frame_name(page) == "1 / 3"
    rows = page.locator("#videos tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["worst", "perfect", "unlabelled"]
    assert rows[0].split()[-1] == "1"  # identity switches


def test_slider_and_keys_move_through_frames(open_page):
    page = open_page()
    page.fill("#frame", "2")
    shows(page, 3)
    page.locator("body").press("ArrowLeft")
    shows(page, 2)
    page.locator("body").press("Home")
    shows(page, 1)
    page.locator("body").press("ArrowRight")
    page.locator("body").press("ArrowRight")
    shows(page, 3)  # two quick presses are two frames
    assert page.get_attribute("#frame", "aria-valuetext") == "frame 2, 3 of 3"


def test_playing_goes_on_until_it_is_stopped(open_page):
    page = open_page()
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    shows(page, 3)
    shows(page, 1)  # from the start again
    page.locator("h1").click()
    page.locator("body").press(" ")
    assert page.get_attribute("#play", "aria-label") == "Play"
    stopped = frame_name(page)
    page.wait_for_timeout(600)
    assert frame_name(page) == stopped


def test_layers_paint_what_they_say(open_page):
    page = open_page("#video=worst&frame=3")
    shows(page, 3)
    page.fill("#opacity", "100")
    body = page.locator("body")
    body.press("1")
    assert pixel(page, 0.3, 0.3)[3] == 0
    body.press("4")
    assert pixel(page, 0.7, 0.3) == pytest.approx([20, 24, 30, 120], abs=2)  # road on road: right
    assert pixel(page, 0.3, 0.3)[:3] == [40, 190, 240]  # car 3 where car 1 belongs: wrong track
    assert pixel(page, 0.3, 0.62)[:3] == [240, 180, 40]  # road on a car: missed
    assert pixel(page, 0.3, 0.87)[:3] == [190, 90, 230]  # a person on a car: wrong class
    assert "wrong track 25.0 %" in page.inner_text("#key")
    body.press("5")
    assert pixel(page, 0.3, 0.3)[:3] == pytest.approx([255, 90, 60], abs=3)  # 50 % too far
    body.press("3")
    depth = pixel(page, 0.3, 0.3)
    body.press("t")
    assert pixel(page, 0.3, 0.3) != depth  # 10 m are brighter than 15 m
    assert page.inner_text("#badge") == "ground truth"
    pressed = page.locator("#layers [aria-pressed=true]").all_inner_texts()
    assert [text.split()[-1] for text in pressed] == ["Depth"]


def test_pointing_tells_what_is_there(open_page):
    page = open_page()
    point_at(page, 0.3, 0.2)
    lines = page.inner_text("#tip").split("\n")
    assert lines == [
        "car 1",
        "score 0.75",
        "truth: car 1, IoU 1.00",
        "right",
        "15.0 m, true 10.0 m (+50 %)",
    ]
    page.mouse.move(0, 0)
    assert page.is_hidden("#tip")


def test_clicking_a_segment_selects_its_track(open_page):
    page = open_page()
    point_at(page, 0.3, 0.2)
    page.mouse.down()
    page.mouse.up()
    selected = page.locator("#lanes button[aria-pressed=true]")
    assert selected.all_inner_texts() == [" car 1"]
    page.locator("body").press("Escape")
    assert selected.count() == 0


def test_the_timeline_has_a_lane_for_each_track_and_jumps(open_page):
    page = open_page()
    names = page.locator("#lanes button").all_inner_texts()
    assert [name.strip() for name in names] == ["person 1", "car 1", "car 2", "car 3"]
    switch = page.locator("#lanes i.switch")
    assert switch.get_attribute("title") == "frame 3: car 3 takes over car 1 (truth) from car 1"
    assert page.locator("#lanes i.death").count() == 2  # car 1 and car 2 end
    page.click("#lanes button:has-text('person 1')")
    shows(page, 3)  # where it is born
    lane = page.locator(".lane:not(.axis):not(.wrong)").first
    box = lane.bounding_box()
    lane.click(position={"x": box["width"] * 0.5, "y": 8})
    shows(page, 2)
    page.click("[data-rows=objects]")
    names = page.locator("#lanes button").all_inner_texts()
    assert [name.strip() for name in names] == ["car 1", "car 2"]
    assert page.locator("#lanes span.missed").count() == 1  # car 2 in frame 3


def test_videos_change_by_click_and_by_key(open_page):
    page = open_page()
    page.click("#videos button:has-text('perfect')")
    has_text(page, "#video-name", "perfect")
    has_text(page, "#videos [aria-current=true]", "perfect")
    page.locator("h1").click()
    page.locator("body").press("]")
    has_text(page, "#video-name", "unlabelled")
    playwright.expect(page.locator("[data-layer=errors]")).to_be_disabled()
    playwright.expect(page.locator("[data-layer=depth]")).to_be_disabled()
    page.locator("body").press("4")
    assert page.get_attribute("[data-layer=segments]", "aria-pressed") == "true"
    page.locator("body").press("[")
    has_text(page, "#video-name", "perfect")
    playwright.expect(page).to_have_url(re.compile("video=perfect"))


def test_help_opens_and_closes(open_page):
    page = open_page()
    page.locator("body").press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")


def test_segments_are_also_a_table(open_page):
    page = open_page()
    page.click("#segments summary")
    page.wait_for_selector("#segment-rows tr")
    cells = page.locator("#segment-rows tr").first.locator("th, td").all_inner_texts()
    assert [cell.strip() for cell in cells] == ["road", "37.5 %", "15.0 m", "road", "1.00"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(open_page, scheme):
    page = open_page(color_scheme=scheme)
    ratio = "document.body"
    for _ in range(2):  # the button turns one into the other
        assert contrast(page, ratio) > 7
        assert contrast(page, ".subtitle") > 4.5
        page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"
    assert dark == (scheme == "dark")


def contrast(page, selector):
    """WCAG contrast of a text's colour and the page's background."""
    colors = page.evaluate(
        """selector => { const element = selector === 'document.body' ? document.body
        : document.querySelector(selector);
        return [getComputedStyle(element).color, getComputedStyle(document.body).backgroundColor]
        .map(text => text.match(/[0-9.]+/g).slice(0, 3).map(Number)); }""",
        selector,
    )
    values = np.array(colors) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    light = np.sort(linear @ [0.2126, 0.7152, 0.0722])
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#overlay").bounding_box()["width"] > 0.5 * min(width, 800)
