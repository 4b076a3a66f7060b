"""Token, Host, Origin and headers: who is answered, and with what."""

import asyncio
import hmac

import pytest
from starlette.testclient import TestClient

from facepriv.serve.app import make_app
from facepriv.serve.guard import PAGE_POLICY, Guard, new_token

PORT, TOKEN = 8642, "the-token-of-the-tests"
ORIGIN = f"http://127.0.0.1:{PORT}"
#: Every kind of address that the application has.
GETS = ("", "static/page.js", "api/runs", "api/reports", "sheets/0123", "reports/Lg/report.html")
POSTS = ("api/photos?name=a.png", "api/photos/0123/show", "api/folder", "api/runs", "api/runs/0123/stop")


@pytest.fixture(scope="module")
def outsider(photo_client, runs):
    """A client that sends nothing of its own accord."""
    with TestClient(Guard(make_app(photo_client, runs), TOKEN, PORT), base_url=ORIGIN) as made:
        yield made


class TestToken:
    @pytest.mark.parametrize("address", GETS)
    @pytest.mark.parametrize("token", ["", "wrong/", f"{TOKEN}x/", f"{TOKEN[:-1]}/", f"x/{TOKEN}/", "%2e%2e/", "é%ff/"])
    def test_without_the_right_one_no_address_answers(self, outsider, address, token):
        answer = outsider.get(f"{ORIGIN}/{token}{address}")
        assert answer.status_code == 403
        assert "token" in answer.text and TOKEN not in answer.text

    @pytest.mark.parametrize("address", POSTS)
    def test_a_wrong_one_changes_nothing(self, outsider, address):
        answer = outsider.post(f"{ORIGIN}/wrong/{address}", content=b"{}", headers={"Origin": ORIGIN})
        assert answer.status_code == 403

    def test_it_is_compared_in_constant_time(self, outsider, monkeypatch):
        compared = []
        same = hmac.compare_digest
        monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or same(a, b))
        assert outsider.get(f"{ORIGIN}/{TOKEN}/").status_code == 200
        assert outsider.get(f"{ORIGIN}/wrong/").status_code == 403
        assert compared == [(TOKEN.encode(), TOKEN.encode()), (b"wrong", TOKEN.encode())]

    def test_it_has_256_bits_and_is_never_the_same(self):
        tokens = {new_token() for _ in range(50)}
        assert len(tokens) == 50 and min(map(len, tokens)) >= 43


class TestHostAndOrigin:
    @pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}"])
    def test_our_own_names_are_answered(self, outsider, host):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert outsider.get(f"{ORIGIN}/{TOKEN}/api/runs", headers=headers).status_code == 200
        assert outsider.post(f"{ORIGIN}/{TOKEN}/api/folder", content=b"{}", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil.example:{PORT}", ""],
    )
    def test_another_host_is_refused_even_with_the_token(self, outsider, host):
        answer = outsider.get(f"{ORIGIN}/{TOKEN}/", headers={"Host": host})
        assert answer.status_code == 403

    @pytest.mark.parametrize("address", POSTS)
    @pytest.mark.parametrize("origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", f"{ORIGIN}0", None])
    def test_a_change_from_another_site_is_refused_even_with_the_token(self, outsider, address, origin):
        headers = {} if origin is None else {"Origin": origin}
        assert outsider.post(f"{ORIGIN}/{TOKEN}/{address}", content=b"{}", headers=headers).status_code == 403

    def test_the_origin_is_the_one_of_the_host(self, outsider):
        headers = {"Host": f"localhost:{PORT}", "Origin": ORIGIN}
        assert outsider.post(f"{ORIGIN}/{TOKEN}/api/folder", content=b"{}", headers=headers).status_code == 403

    def test_another_site_may_not_read_or_embed_and_a_browser_may_open_the_page(self, outsider):
        def status(address, **headers):
            named = {f"Sec-Fetch-{name}": value for name, value in headers.items()}
            return outsider.get(f"{ORIGIN}/{TOKEN}/{address}", headers=named).status_code

        for address in ("api/runs", "static/page.js", "static/page.css"):
            assert status(address, Site="cross-site", Mode="no-cors") == 403
            assert status(address, Site="same-site", Mode="cors") == 403
            assert status(address, Site="same-origin", Mode="cors") == 200
        assert status("", Site="cross-site", Mode="navigate") == 200  # from the file that opens the browser
        assert outsider.get(f"{ORIGIN}/{TOKEN}/api/runs", headers={"Origin": "http://evil.example"}).status_code == 403


class TestHeaders:
    @pytest.mark.parametrize(
        ("address", "status"),
        [(f"{TOKEN}/", 200), (f"{TOKEN}/static/page.js", 200), (f"{TOKEN}/nothing", 404), ("wrong/", 403)],
    )
    def test_every_answer_has_them(self, outsider, address, status):
        answer = outsider.get(f"{ORIGIN}/{address}")
        assert answer.status_code == status
        assert answer.headers["content-security-policy"] == PAGE_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"  # the address holds the token
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"

    def test_the_page_may_load_its_own_files_only(self):
        allowed = dict(part.strip().split(" ", 1) for part in PAGE_POLICY.split(";"))
        assert allowed["default-src"] == allowed["base-uri"] == allowed["frame-ancestors"] == "'none'"
        assert {allowed[name] for name in ("script-src", "style-src", "connect-src", "frame-src")} == {"'self'"}
        assert allowed["img-src"] == "'self' data: blob:"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, "api/runs").status_code == 405


def test_a_web_socket_is_never_accepted():
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "path": f"/{TOKEN}/", "headers": [(b"host", f"127.0.0.1:{PORT}".encode())]}
    asyncio.run(Guard(None, TOKEN, PORT)(scope, None, send))
    assert sent == []


@pytest.mark.parametrize(
    "name", ["..%2f..%2fapp.py", "../app.py", "%2e%2e/app.py", "page.html%00", "page.HTML", "/etc/passwd"]
)
def test_only_the_pages_own_files_are_static(client, name):
    assert client.get(f"static/{name}").status_code == 404
