"""Certificates are found where they lie and where they are served; keys never leave; renewals are measured."""

import base64
import http.server
import json
import os
import shutil
import socket
import sys
import threading
import time

import pytest

from maintenancebot.helper import certbot, certificates, listeners, tools, webservers
from tests.fakes.certificates import context_of, make, serving

SITES = webservers.sites
openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")


class Quiet:
    """Where findings go."""

    def __init__(self):
        self.found = []

    def finding(self, kind, subject, **data):
        self.found.append({"kind": kind, "subject": subject, **data})

    def alive(self, doing):
        pass


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A machine without certificates: lineages and configurations lie in a folder of the test."""
    (tmp_path / "live").mkdir()
    (tmp_path / "renewal").mkdir()
    monkeypatch.setattr(certificates, "LIVE", str(tmp_path / "live"))
    monkeypatch.setattr(certificates, "RENEWAL", str(tmp_path / "renewal"))
    monkeypatch.setattr(
        webservers, "sites", lambda: SITES(str(tmp_path / "nginx.conf"), (str(tmp_path / "apache" / "*"),))
    )
    return tmp_path


def probe(files=(), ports=()):
    out = Quiet()
    result = certificates.probe({"files": [str(file) for file in files], "ports": list(ports)}, out)
    return out.found, result


def lineage(here, name, made, issuer=None):
    folder = here / "live" / name
    folder.mkdir(exist_ok=True)
    (folder / "fullchain.pem").write_bytes(made.pem + (issuer.pem if issuer else b""))
    (folder / "privkey.pem").write_bytes(made.key_pem)
    (here / "renewal" / f"{name}.conf").write_text("[renewalparams]\nauthenticator = webroot\n")


class TestFiles:
    def test_nothing_there_costs_no_import_of_ssl(self, here):
        code = (
            "import sys\nfrom maintenancebot.helper import certificates as c, webservers as w\n"
            "class Out:\n    def finding(self, *a, **k): raise SystemExit('found something')\n"
            f"c.LIVE = {str(here)!r} + '/none'\nw.sites = lambda: ([], [])\n"
            "c.probe({'files': [], 'ports': [1]}, Out())\nsys.exit('ssl was imported' if 'ssl' in sys.modules else 0)"
        )
        assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0

    def test_every_certificate_of_a_chain_is_sent(self, here):
        root = make("Root", authority=True)
        leaf = make("www.example.org", root)
        (here / "site.pem").write_bytes(b"comment\n" + leaf.pem + root.pem)
        found, _ = probe([here / "*.pem"])
        assert [base64.b64decode(der) for der in found[0]["chain"]] == [leaf.der, root.der]

    def test_no_byte_of_a_private_key_leaves_the_host(self, here):
        leaf = make("www.example.org")
        (here / "both.pem").write_bytes(leaf.key_pem + leaf.pem)
        (here / "key.pem").write_bytes(leaf.key_pem)
        found, _ = probe([here / "*.pem"])
        said = json.dumps(found)
        assert [one["subject"] for one in found] == [str(here / "both.pem")]
        assert "PRIVATE" not in said
        assert not any(line in said for line in leaf.key_pem.decode().splitlines()[1:-1])

    @openssl
    def test_the_key_beside_a_lineage_is_compared(self, here):
        leaf, other = make("a.example.org"), make("a.example.org")
        lineage(here, "a.example.org", leaf)
        assert probe()[0][0]["key"] == "match"
        (here / "live" / "a.example.org" / "privkey.pem").write_bytes(other.key_pem)
        assert probe()[0][0]["key"] == "mismatch"
        (here / "live" / "a.example.org" / "privkey.pem").unlink()
        assert probe()[0][0]["key"] == "unknown"

    def test_a_bundle_of_authorities_is_left_alone(self, here):
        root = make("Root", authority=True)
        (here / "bundle.pem").write_bytes(root.pem * (certificates.MOST_IN_A_FILE + 1))
        assert probe([here / "bundle.pem"])[0] == []

    def test_certbots_links_are_followed_and_a_pipe_is_not_read(self, here):
        lineage(here, "x.example.org", make("x.example.org"))
        (here / "linked.pem").symlink_to(here / "live" / "x.example.org" / "fullchain.pem")
        os.mkfifo(here / "pipe.pem")
        assert [one["subject"] for one in probe([here / "linked.pem", here / "pipe.pem"])[0]] == [
            str(here / "live" / "x.example.org" / "fullchain.pem"),
            str(here / "linked.pem"),
        ]

    def test_junk_beside_them_hides_no_certificate(self, here):
        for number in range(certificates.MOST_FILES + 50):
            (here / f"a{number}.pem").write_bytes(os.urandom(40))
        (here / "z.pem").write_bytes(make("z.example.org").pem)
        found, result = probe([here / "*.pem"])
        assert [one["subject"] for one in found] == [str(here / "z.pem")]
        assert result.facts["left_out"] == 0

    def test_more_than_the_limits_is_told(self, here, monkeypatch):
        monkeypatch.setattr(certificates, "MOST_FILES", 2)
        for number in range(5):
            (here / f"{number}.pem").write_bytes(make("a.example.org").pem)
        found, result = probe([here / "*.pem"])
        assert (len(found), result.facts["left_out"]) == (2, 3)
        monkeypatch.setattr(certificates, "MOST_NAMES", 3)
        assert probe([here / "*.pem"])[1].facts["left_out"] > 0

    def test_links_to_the_own_folder_have_an_end(self, here):
        (here / "tree" / "site").mkdir(parents=True)
        (here / "tree" / "site" / "a.pem").write_bytes(make("a.example.org").pem)
        for name in "bcde":
            (here / "tree" / name).symlink_to(".")
        found, _ = probe([here / "tree" / "**" / "*.pem"])
        assert [one["subject"] for one in found] == [str(here / "tree" / "site" / "a.pem")]

    @pytest.mark.parametrize("body", ["sleep 100000", "exit 0", "echo PUBLIC KEY $$", "exec yes"])
    def test_an_openssl_that_does_not_work_is_no_verdict_and_costs_one_wait(self, here, body, monkeypatch):
        (here / "openssl").write_text(f"#!/bin/sh\n{body}\n")
        (here / "openssl").chmod(0o755)
        monkeypatch.setattr(tools, "find", lambda name: str(here / name) if name == "openssl" else None)
        monkeypatch.setattr(certificates, "KEY_SECONDS", 0.5)
        for number in range(8):
            lineage(here, f"{number}.example.org", make(f"{number}.example.org"))
        began = time.monotonic()
        found, result = probe()
        assert {one["key"] for one in found} == {"unknown"}
        assert result.facts["keys_not_compared"] == 8
        assert time.monotonic() - began < 5


class TestWebServers:
    def test_nginx_sites_with_their_keys_and_names_through_includes(self, here):
        (here / "sites").mkdir()
        (here / "tls.conf").write_text("ssl_certificate /c/a.pem; # the one\nssl_certificate_key '/c/a.key';")
        (here / "sites" / "a").write_text(
            "server { listen 443 ssl; server_name a.example.org\n  www.a.example.org;\n"
            f" include {here}/tls.conf; location / {{ }} }}"
        )
        (here / "sites" / "b").write_text('server { server_name ~^x _; ssl_certificate "/c/$ssl_server_name.pem"; }')
        (here / "nginx.conf").write_text("events {}\nhttp { upstream u { server 10.0.0.1; } include sites/*; }")
        found, _ = SITES(str(here / "nginx.conf"), ())
        assert [(site.certificates, site.keys, site.names) for site in found] == [
            (["/c/a.pem"], ["/c/a.key"], ["a.example.org", "www.a.example.org"])
        ]

    def test_what_nginx_sets_outside_counts_for_servers_without_their_own(self, here):
        (here / "nginx.conf").write_text("http { ssl_certificate /c/x.pem; server { server_name x.example.org; } }")
        (site,), _ = SITES(str(here / "nginx.conf"), ())
        assert (site.certificates, site.names) == (["/c/x.pem"], ["x.example.org"])

    def test_apaches_virtual_hosts(self, here):
        (here / "apache").mkdir()
        (here / "apache" / "a.conf").write_text(
            "<VirtualHost *:443>\n ServerName https://a.example.org:443\n ServerAlias b.example.org\n"
            " SSLCertificateFile '/c/a.pem'\n SSLCertificateKeyFile /c/a.key\n</VirtualHost>\n"
            "#SSLCertificateFile /c/no.pem\n"
        )
        (site,), _ = SITES("/none", (str(here / "apache" / "*"),))
        assert (site.certificates, site.keys) == (["/c/a.pem"], ["/c/a.key"])
        assert site.names == ["a.example.org", "b.example.org"]


class TestServed:
    @pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
    def test_an_expired_certificate_is_read_from_the_port(self, here, address):
        leaf = make("old.example.org", days=10, age=20)
        with serving(context_of(here, leaf.pem, leaf.key_pem), address) as server:
            found, _ = probe(ports=[server.server_address[1]])
        assert [(one["address"], one["sni"]) for one in found] == [("127.0.0.1", "")]
        assert base64.b64decode(found[0]["chain"][0]) == leaf.der

    @pytest.mark.skipif(sys.version_info < (3, 10), reason="the chain is offered from Python 3.10 on")
    def test_the_chain_is_read_as_it_is_served(self, here):
        root = make("Root", authority=True)
        leaf = make("www.example.org", root)
        with serving(context_of(here, leaf.pem + root.pem, leaf.key_pem)) as server:
            chain, whole = listeners.handshake("127.0.0.1", server.server_address[1], "", 3)
        assert (chain, whole) == ([leaf.der, root.der], True)

    def test_each_name_of_the_configuration_is_asked_for(self, here):
        first, second = make("a.example.org"), make("b.example.org")
        (here / "nginx.conf").write_text(
            "server { server_name a.example.org b.example.org; ssl_certificate /none.pem; }"
        )
        context = context_of(here, first.pem, first.key_pem)
        other = context_of(here, second.pem, second.key_pem, "other")

        def choose(tls, name, _context):
            tls.context = other if name == "b.example.org" else context

        context.sni_callback = choose
        with serving(context) as server:
            found, _ = probe(ports=[server.server_address[1]])
        served = {one["sni"]: base64.b64decode(one["chain"][0]) for one in found if one["where"] == "served"}
        assert served == {"": first.der, "a.example.org": first.der, "b.example.org": second.der}

    def test_a_port_of_another_container_in_the_same_network_does_not_count(self, here, monkeypatch):
        leaf = make("a.example.org")
        with serving(context_of(here, leaf.pem, leaf.key_pem)) as server:
            port = server.server_address[1]
            assert [one.seen for one in listeners.listening({port})] == [True]
            monkeypatch.setattr(listeners, "_owned", lambda inodes: set())
            assert probe(ports=[port])[0] == []

    def test_a_port_that_speaks_no_tls_is_no_certificate(self, here):
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            found, result = probe(ports=[server.server_port])
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
        assert found == []
        assert result.facts["not_tls"] == [server.server_port]

    def test_a_silent_port_is_given_up_and_said(self, here, monkeypatch):
        monkeypatch.setattr(certificates, "HANDSHAKE_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            found, _ = probe(ports=[silent.getsockname()[1]])
        assert [(one["chain"], "timed out" in one["error"]) for one in found] == [([], True)]


CERTBOT = """#!{python}
import sys
open({folder!r} + "/arguments", "w").write(" ".join(sys.argv[1:]))
{body}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="certbot runs as root")
class TestRenewal:
    @pytest.fixture
    def renew(self, here, monkeypatch):
        """Renew the lineage `a.example.org` with a program of the test's in certbot's place."""
        monkeypatch.setattr(certbot, "SERVED_SECONDS", 0)
        monkeypatch.setattr(tools, "find", lambda name: str(here / "certbot") if name == "certbot" else None)

        def call(body, serial, served=()):
            program = here / "certbot"
            program.write_text(CERTBOT.format(python=sys.executable, folder=str(here), body=body))
            program.chmod(0o755)
            planned = {"lineage": "a.example.org", "serial": serial, "served": list(served)}
            step = {
                "id": "s",
                "task": "t",
                "args": {},
                "changes": [{"id": "c", "action": "renew_certificate", "object": planned}],
            }
            return certificates.renew(step, Quiet())[0]

        return call

    @pytest.fixture
    def pair(self, here):
        """The old certificate, in place, and the new one with the program text that puts it in place."""
        old, new = make("a.example.org"), make("a.example.org")
        lineage(here, "a.example.org", old)
        (here / "new.pem").write_bytes(new.pem)
        put = (
            f"import shutil; shutil.copy({str(here / 'new.pem')!r}, {str(here / 'live/a.example.org/fullchain.pem')!r})"
        )
        return old, new, put

    def test_the_new_serial_on_the_port_is_success(self, here, renew, pair):
        old, new, put = pair
        with serving(context_of(here, new.pem, new.key_pem)) as server:
            place = {"address": "127.0.0.1", "port": server.server_address[1], "sni": "", "serial": old.serial}
            found = renew(put, old.serial, [place])
        assert (found["state"], found["reason"]) == ("done", "verified")
        assert found["measured"]["serial_after"] == new.serial
        assert found["measured"]["served"] == [{**place, "serial": new.serial}]
        assert (
            here / "arguments"
        ).read_text() == "renew --cert-name a.example.org --non-interactive --no-random-sleep-on-renew"

    def test_the_old_serial_on_the_port_is_a_failure(self, here, renew, pair):
        old, _new, put = pair
        with serving(context_of(here, old.pem, old.key_pem)) as server:
            place = {"address": "127.0.0.1", "port": server.server_address[1], "sni": "", "serial": old.serial}
            found = renew(put, old.serial, [place])
        assert (found["state"], found["reason"]) == ("failed", "served_differs")

    def test_success_without_a_new_certificate_means_not_due(self, renew, pair):
        found = renew("print('Certificates not yet due for renewal:')", pair[0].serial)
        assert (found["state"], found["reason"]) == ("nothing", "not_due")

    @pytest.mark.parametrize("body", ["pass", "print('Congratulations, all renewals succeeded')"])
    def test_success_that_renewed_nothing_and_does_not_say_why_is_a_failure(self, renew, pair, body):
        found = renew(body, pair[0].serial)
        assert (found["state"], found["reason"]) == ("failed", "renewal_failed")

    def test_a_lineage_that_certbot_emptied_is_a_failure(self, here, renew, pair):
        found = renew(f"open({str(here / 'live/a.example.org/fullchain.pem')!r}, 'w')", pair[0].serial)
        assert (found["state"], found["reason"]) == ("failed", "renewal_failed")
        assert "no certificate any more" in found["detail"]

    def test_another_certbot_means_busy(self, renew, pair):
        found = renew("sys.exit('Another instance of Certbot is already running.')", pair[0].serial)
        assert (found["state"], found["reason"]) == ("skipped", "busy")

    def test_a_failure_says_certbots_own_line(self, renew, pair):
        found = renew("print('- - - -'); print('Failed to renew: no such host'); sys.exit(1)", pair[0].serial)
        assert (found["state"], found["reason"]) == ("failed", "renewal_failed")
        assert found["detail"] == "exit code 1: Failed to renew: no such host"

    def test_what_somebody_else_renewed_is_left_alone(self, here, renew, pair):
        found = renew("pass", "1234")
        assert (found["state"], found["reason"]) == ("skipped", "changed_since")
        assert not (here / "arguments").exists()

    def test_a_taken_port_is_seen_before_certbot_fails_on_it(self, here, renew, pair):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            (here / "renewal" / "a.example.org.conf").write_text(f"authenticator = standalone\nhttp01_port = {port}\n")
            found = renew("pass", pair[0].serial)
        assert (found["reason"], str(port) in found["detail"]) == ("renewal_failed", True)
        assert not (here / "arguments").exists()

    def test_files_that_hooks_make_are_readable_for_services(self, here, renew, pair):
        before = os.umask(0o077)
        try:
            renew(f"open({str(here / 'copy.pem')!r}, 'w').close()", pair[0].serial)
        finally:
            os.umask(before)
        assert (here / "copy.pem").stat().st_mode & 0o777 == 0o644

    def test_a_lost_outcome_stays_unknown_and_tells_the_serial(self, here, pair):
        change = {"id": "c", "object": {"lineage": "a.example.org", "serial": pair[0].serial}}
        found = certificates.recall(change)
        assert (found["state"], found["measured"]) == ("unknown", {"serial_after": pair[0].serial})


def test_serial_numbers_are_read_as_cryptography_reads_them():
    for _ in range(20):
        made = make("a.example.org")
        assert certbot.serial_of(made.der) == made.serial
    for broken in (b"", b"0", b"\x30\x82\xff\xff\x30", b"hello"):
        with pytest.raises(ValueError, match="certificate"):
            certbot.serial_of(broken)
