"""The page in a real browser, as a custodian uses it. Everything the page asks for is seen: nothing leaves loopback."""

import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright's Python package is not installed")
expect = sync_api.expect
HERE = Path(__file__).parent
#: A machine may be busy, and the models are loaded for the first test.
PATIENCE = 240_000
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@pytest.fixture(scope="module")
def address(tmp_path_factory, small_faces, environment_in):
    """The address of a running server, whose root has a folder of photos and a report."""
    root = tmp_path_factory.mktemp("custodian")
    (root / "photos").mkdir()
    for n in range(6):
        Image.fromarray((small_faces[n % 2] * (1 - 0.02 * n)).astype("uint8")).save(root / f"photos/{n}.png")
    (root / "photos/torn.jpg").write_text("no photo")
    (root / "report").mkdir()
    (root / "report/result.json").write_text("{}")
    (root / "report/report.html").write_text(
        "<!doctype html><title>r</title><p id=p>before</p><script>document.getElementById('p').textContent = 'drawn'; "
        "fetch('/').catch(() => document.body.append('refused'))</script>"
    )
    call = [sys.executable, "-m", "facepriv", "serve", "--no-browser", "--root", str(root)]
    environment = environment_in(tmp_path_factory.mktemp("server"))
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=environment)
    yield process.stdout.readline().strip()
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def new_page(browser, address):
    """Return ``new_page(**how)``: opens the page; at the end nothing was asked elsewhere, and nothing went wrong."""
    asked, wrong, contexts = [], [], []

    def make(**how):
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 1000}} | how))
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        return page

    yield make
    for context in contexts:
        context.close()
    origin = address[: address.index("/", 7)]
    assert [url for url in asked if not url.startswith((origin, "data:", "blob:"))] == []
    assert wrong == []


def choose(page, file):
    page.set_input_files("#file", file)
    page.wait_for_selector("#faces article")
    settled(page)


def settled(page):
    page.wait_for_selector('#panel-photo[aria-busy="false"]')


def width_over(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def drop(page, name, data):
    page.evaluate((HERE / "drop.js").read_text(), [name, b64encode(data).decode()])


class TestPhoto:
    def test_drop_slide_change_and_download(self, new_page, face_files, tmp_path):
        page = new_page(accept_downloads=True)
        drop(page, "portrait.png", face_files[0].read_bytes())
        page.wait_for_selector("#faces article")
        settled(page)
        expect(page.locator("#photo-status")).to_contain_text("1 face found")
        expect(page.locator("#boxes button")).to_have_count(1)
        first = page.get_attribute("#picture-after", "src")
        # The slider, by keyboard.
        page.focus("#slide")
        for _ in range(10):
            page.keyboard.press("ArrowRight")
        assert page.locator("#stage").evaluate("e => e.style.getPropertyValue('--at')") == "60%"
        # The pointer on the picture.
        area = page.locator("#stage").bounding_box()
        page.mouse.move(area["x"] + 0.8 * area["width"], area["y"] + area["height"] - 5)
        page.mouse.down()
        page.mouse.up()
        assert 75 <= int(page.input_value("#slide")) <= 85
        # Another method gives another picture.
        page.select_option("#method", "pixelate")
        expect(page.locator("#picture-after")).not_to_have_attribute("src", first)
        settled(page)
        with page.expect_download() as download:
            page.click("#download")
        file = tmp_path / "out.png"
        download.value.save_as(file)
        assert download.value.suggested_filename == "portrait.png"
        with Image.open(file) as protected, Image.open(face_files[0]) as original:
            assert protected.size == original.size
        assert file.read_bytes() != face_files[0].read_bytes()

    def test_zoom_change_and_strength(self, new_page, face_files):
        page = new_page()
        choose(page, face_files[1])
        page.click("#boxes button")
        assert page.get_attribute("#views button:nth-child(2)", "aria-pressed") == "true"
        page.check("#change")
        expect(page.locator("#picture-after")).to_be_hidden()
        assert "amplified change of face 1" in page.get_attribute("#picture-before", "alt")
        page.uncheck("#change")
        before = page.get_attribute("#picture-after", "src")
        page.locator("#strength").fill("40")
        expect(page.locator("#picture-after")).not_to_have_attribute("src", before)
        expect(page.locator("#strength-value")).to_have_text("40 %")
        expect(page.locator("#faces table").first).to_contain_text("match with the original")

    def test_what_cannot_be_done_and_files_that_are_no_photos_are_told(self, new_page, face_files, bomb):
        page = new_page()
        drop(page, "words.jpg", b"these are words")
        expect(page.locator("#photo-trouble")).to_contain_text("words.jpg: is not an image that facepriv knows")
        drop(page, "huge.png", bomb(20_000, 10_001))
        expect(page.locator("#photo-trouble")).to_contain_text("over the limit of 200,000,000")
        choose(page, face_files[0])
        expect(page.locator("#photo-trouble")).to_be_hidden()
        page.select_option("#hide-gender", "")
        expect(page.locator("#photo-trouble")).to_contain_text("nothing to hide: choose an attribute")
        expect(page.locator("#download")).to_be_disabled()
        page.select_option("#hide-gender", "hide")
        expect(page.locator("#photo-trouble")).to_be_hidden()

    def test_two_tabs_do_not_disturb_each_other(self, new_page, face_files):
        pages = [new_page(), new_page()]
        for page, file in zip(pages, face_files, strict=True):
            choose(page, file)
        pictures = []
        for page, file in zip(pages, face_files, strict=True):
            expect(page.locator("#photo-status")).to_contain_text(file.name)
            page.select_option("#method", "pixelate")
            settled(page)
            pictures.append(page.get_attribute("#picture-before", "src"))
        assert pictures[0] != pictures[1]

    def test_a_photo_that_the_server_forgot_is_sent_again(self, new_page, face_files):
        page = new_page()
        choose(page, face_files[0])
        others = new_page()
        for n in range(7):
            choose(others, face_files[n % 2])
            others.evaluate("navigator.sendBeacon = () => true")
        others.reload()
        page.locator("#strength").fill("30")
        settled(page)
        expect(page.locator("#photo-trouble")).to_be_hidden()
        page.wait_for_selector("#faces article")


def test_side_by_side_shows_every_method_and_why_one_cannot(new_page, face_files):
    page = new_page()
    choose(page, face_files[0])
    page.select_option("#hide-age", "hide")
    page.select_option("#hide-gender", "")
    page.click("#tab-compare")
    expect(page.locator("#compare-status")).to_contain_text("all installed ones", timeout=PATIENCE)
    cards = page.locator("#grid .card")
    assert cards.count() == 1 + page.locator("#method option").count()
    expect(page.get_by_role("article", name="face-mixing")).to_contain_text("no method here can change 'age'")
    expect(page.get_by_role("article", name="privacynet").locator("img")).to_have_count(1)
    # A setting of one method, from its type and range.
    card = page.get_by_role("article", name="sim-zhang")
    before = card.locator("img").get_attribute("src")
    card.locator("summary").click()
    reach = card.locator("input[type=number]").first
    assert (reach.get_attribute("min"), reach.get_attribute("max")) == ("0", "4")
    reach.fill("3")
    expect(card.locator("img")).not_to_have_attribute("src", before, timeout=PATIENCE)


def test_a_folder_is_protected_while_the_page_is_closed_and_resumed(new_page):
    page = new_page()
    page.select_option("#method", "pixelate")
    page.click("#tab-folder")
    page.get_by_role("button", name="photos", exact=True).click()
    expect(page.locator("#folder-path")).to_contain_text("photos: 7 photos directly in it")
    assert page.input_value("#run-out") == "photos-protected"
    page.click("#run-start")
    page.wait_for_selector(".run")
    page.close()  # the run goes on
    again = new_page()
    again.click("#tab-folder")
    run = again.locator(".run").first
    expect(run).to_contain_text("6 protected", timeout=PATIENCE)
    expect(run.get_by_role("link", name="Open the contact sheet")).to_be_visible(timeout=PATIENCE)
    run.locator("summary").click()
    expect(run).to_contain_text("torn.jpg")
    with again.context.expect_page() as opened:
        run.get_by_role("link", name="Open the contact sheet").click()
    opened.value.wait_for_load_state()
    # The sheet runs no script, not even a test's: what the browser was sent is looked at.
    sheet = again.request.get(opened.value.url)
    assert "Before publishing" in sheet.text() and "data:image/webp" in sheet.text()
    assert sheet.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    again.select_option("#method", "pixelate")
    again.select_option("#run-existing", "resume")
    again.get_by_role("button", name="photos", exact=True).click()
    again.click("#run-start")
    expect(again.locator(".run").first).to_contain_text("6 done already", timeout=PATIENCE)


def test_a_report_is_shown_in_a_frame_that_reaches_nothing(new_page):
    page = new_page()
    page.click("#tab-reports")
    page.get_by_role("button", name="report", exact=True).click()
    frame = page.frame_locator("#report")
    expect(frame.locator("#p")).to_have_text("drawn")
    expect(frame.locator("body")).to_contain_text("refused")


def test_a_wrong_token_shows_no_page(browser, address):
    page = browser.new_page()
    answer = page.goto(f"{address[:-9]}aaaaaaaa/")
    assert answer.status == 403 and "token" in page.inner_text("body")
    page.close()


class TestAccess:
    def test_every_control_has_a_name_and_the_tabs_follow_the_keyboard(self, new_page, face_files):
        page = new_page()
        choose(page, face_files[0])
        nameless = page.evaluate(
            """[...document.querySelectorAll("button, select, input, a, summary, iframe")].filter((e) =>
              !(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.title && !e.textContent.trim()
            ).map((e) => e.outerHTML)"""
        )
        assert nameless == []
        assert page.evaluate("[...document.images].filter((i) => i.src && !i.alt).length") == 0
        page.focus("#tab-photo")
        page.keyboard.press("ArrowRight")
        assert page.get_attribute("#tab-compare", "aria-selected") == "true"
        expect(page.locator("#panel-compare")).to_be_visible()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "file"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_it_fits_a_phone_and_its_texts_have_contrast(self, new_page, face_files, scheme):
        page = new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
        choose(page, face_files[0])
        assert width_over(page) == 0
        assert min(page.evaluate((HERE / "contrast.js").read_text())) >= 4.5
        for tab in ("compare", "folder", "reports"):
            page.click(f"#tab-{tab}")
            assert width_over(page) == 0
        ink = sum(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).color"))[:3]))
        assert (ink < 150) if scheme == "light" else (ink > 500)
