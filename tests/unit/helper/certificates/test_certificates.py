"""Certificates are found where they lie and where they are served; keys never leave; renewals are measured."""

import base64
import contextlib
import http.server
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from maintenancebot.helper.certificates import (
    certbot,
    certbot_state,
    certificate_files,
    certificates,
    der,
    handshake,
    knocks,
    webservers,
)
from maintenancebot.helper.host import listeners, tools
from tests.fakes import starttls
from tests.fakes.certificates import context_of, make, serving
from tests.unit.helper.conftest import PYTHONS, ROOT

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
    monkeypatch.setattr(certbot_state, "LIVE", str(tmp_path / "live"))
    monkeypatch.setattr(certbot_state, "RENEWAL", str(tmp_path / "renewal"))
    for name in ("TIMERS", "TABLES", "SCRIPTS"):
        monkeypatch.setattr(certbot_state, name, ())
    apache, haproxy = (str(tmp_path / "apache.conf"),), (str(tmp_path / "haproxy.cfg"),)
    monkeypatch.setattr(webservers, "sites", lambda: SITES(str(tmp_path / "nginx.conf"), apache, haproxy))
    return tmp_path


def probe(files=(), ports=(), starttls=None, endpoints=()):
    out = Quiet()
    asked = {"files": [str(file) for file in files], "ports": list(ports), "endpoints": list(endpoints)}
    result = certificates.probe({**asked, "starttls_ports": starttls or {}}, out)
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
            "import sys\n"
            "from maintenancebot.helper.certificates import certificates as c, certbot_state as b, webservers as w\n"
            "class Out:\n    def finding(self, *a, **k): raise SystemExit('found something')\n"
            f"b.LIVE = {str(here)!r} + '/none'\nw.sites = lambda: ([], w.Reader())\n"
            "c.probe({'files': [], 'ports': [1], 'starttls_ports': {}, 'endpoints': []}, Out())\n"
            "sys.exit('ssl was imported' if 'ssl' in sys.modules else 0)"
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
        (here / "bundle.pem").write_bytes(root.pem * (certificate_files.MOST_IN_A_FILE + 1))
        assert probe([here / "bundle.pem"])[0] == []

    def test_a_file_of_nothing_but_beginnings_costs_no_time(self, here):
        line = b"-----BEGIN CERTIFICATE-----\n"
        (here / "many.pem").write_bytes(line * (certificate_files.FILE_BYTES // len(line)))
        began = time.monotonic()
        assert probe([here / "*.pem"])[0] == []
        assert time.monotonic() - began < 2

    def test_a_certificate_that_is_cut_off_is_told(self, here):
        leaf, root = make("a.example.org"), make("Root", authority=True)
        cut = leaf.pem.replace(b"-----END CERTIFICATE-----\n", b"")
        (here / "a.pem").write_bytes(cut)
        (here / "b.pem").write_bytes(cut + root.pem)
        assert [base64.b64decode(one["chain"][0]) for one in probe([here / "*.pem"])[0]] == [b"", b""]

    def test_certbots_links_are_followed_and_a_pipe_is_not_read(self, here):
        lineage(here, "x.example.org", make("x.example.org"))
        (here / "linked.pem").symlink_to(here / "live" / "x.example.org" / "fullchain.pem")
        os.mkfifo(here / "pipe.pem")
        assert [one["subject"] for one in probe([here / "linked.pem", here / "pipe.pem"])[0]] == [
            str(here / "live" / "x.example.org" / "fullchain.pem"),
            str(here / "linked.pem"),
        ]

    def test_junk_beside_them_hides_no_certificate(self, here):
        for number in range(certificate_files.MOST_FILES + 50):
            (here / f"a{number}.pem").write_bytes(os.urandom(40))
        (here / "z.pem").write_bytes(make("z.example.org").pem)
        found, result = probe([here / "*.pem"])
        assert [one["subject"] for one in found] == [str(here / "z.pem")]
        assert result.facts["left_out"] == 0

    def test_more_than_the_limits_is_told(self, here, monkeypatch):
        monkeypatch.setattr(certificate_files, "MOST_FILES", 2)
        for number in range(5):
            (here / f"{number}.pem").write_bytes(make("a.example.org").pem)
        found, result = probe([here / "*.pem"])
        assert (len(found), result.facts["left_out"]) == (2, 3)
        monkeypatch.setattr(certificate_files, "MOST_NAMES", 3)
        assert probe([here / "*.pem"])[1].facts["left_out"] > 0

    def test_what_is_sent_is_limited_and_what_programs_use_comes_first(self, here, monkeypatch):
        leaf = make("a.example.org")
        monkeypatch.setattr(certificate_files, "MOST_BYTES", 2 * len(leaf.der))
        for number in range(5):
            (here / f"{number}.pem").write_bytes(leaf.pem)
        lineage(here, "z.example.org", leaf)
        found, result = probe([here / "*.pem"])
        assert [os.path.basename(one["subject"]) for one in found] == ["fullchain.pem", "0.pem"]
        assert result.facts["left_out"] == 4

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
        monkeypatch.setattr(certificate_files, "KEY_SECONDS", 0.5)
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
        found, _ = SITES(str(here / "nginx.conf"), (), ())
        assert [(site.certificates, site.keys, site.names) for site in found] == [
            (["/c/a.pem"], ["/c/a.key"], ["a.example.org", "www.a.example.org"])
        ]

    def test_what_nginx_sets_outside_counts_for_servers_without_their_own(self, here):
        (here / "nginx.conf").write_text("http { ssl_certificate /c/x.pem; server { server_name x.example.org; } }")
        (site,), _ = SITES(str(here / "nginx.conf"), (), ())
        assert (site.certificates, site.names) == (["/c/x.pem"], ["x.example.org"])

    def test_a_key_is_its_own_certificates_although_another_is_no_file(self, here):
        (here / "nginx.conf").write_text(
            "server { ssl_certificate /c/a.pem; ssl_certificate_key engine:pkcs11:a;"
            " ssl_certificate $x; ssl_certificate_key $x.key; ssl_certificate /c/b.pem; ssl_certificate_key /c/b.key; }"
        )
        (here / "apache.conf").write_text(
            "SSLCertificateFile /c/a.pem\nSSLCertificateKeyFile pkcs11:a\n"
            "SSLCertificateFile /c/b.pem\nSSLCertificateKeyFile /c/b.key\n"
        )
        found, _ = SITES(str(here / "nginx.conf"), (str(here / "apache.conf"),), ())
        assert [(site.certificates, site.keys) for site in found] == [(["/c/a.pem", "/c/b.pem"], ["", "/c/b.key"])] * 2

    def test_apaches_virtual_hosts(self, here):
        (here / "apache.conf").write_text(
            "<VirtualHost *:443>\n ServerName https://a.example.org:443\n ServerAlias b.example.org\n"
            " SSLCertificateFile '/c/a.pem'\n SSLCertificateKeyFile /c/a.key\n</VirtualHost>\n"
            "#SSLCertificateFile /c/no.pem\n"
        )
        (site,), _ = SITES("/none", (str(here / "apache.conf"),), ())
        assert (site.certificates, site.keys) == (["/c/a.pem"], ["/c/a.key"])
        assert site.names == ["a.example.org", "b.example.org"]

    def test_where_nginx_listens(self, here):
        (here / "nginx.conf").write_text(
            "server { listen 443 ssl; listen [::]:443 ssl; listen 10.0.0.1:8443 ssl; listen [2001:db8::1]:443;\n"
            "listen localhost:9443; listen unix:/run/x; listen 10.0.0.2; listen www.example.org:443;\n"
            "server_name a.example.org; ssl_certificate /c/a.pem; }"
        )
        (site,), _ = SITES(str(here / "nginx.conf"), (), ())
        assert site.listens == [
            ("", 443),
            ("", 443),
            ("10.0.0.1", 8443),
            ("2001:db8::1", 443),
            ("127.0.0.1", 9443),
            ("10.0.0.2", 80),
        ]

    def test_paths_of_nginx_with_quotes_blanks_and_bytes_that_are_no_text(self, here):
        (here / "sites").mkdir()
        (here / "sites" / "caf\udce9").write_text('server { ssl_certificate "ssl/my site.pem"; }')
        (here / "sites" / "it's; a {trap}").write_text("server { ssl_certificate '/c/quo\\'ted.pem'; # } ;\n}")
        (here / "nginx.conf").write_bytes(b"http { include sites/*; include none/*; \0 include sites/caf\xe9; }")
        found, reader = SITES(str(here / "nginx.conf"), (), ())
        expected = [[f"{here}/ssl/my site.pem"], ["/c/quo\\'ted.pem"], [f"{here}/ssl/my site.pem"]]
        assert sorted(site.certificates for site in found) == sorted(expected)
        assert reader.unreadable == []

    def test_an_include_of_itself_ends_and_too_many_files_are_told(self, here, monkeypatch):
        (here / "nginx.conf").write_text(f"include {here}/nginx.conf; server {{ ssl_certificate /c/a.pem; }}")
        found, _ = SITES(str(here / "nginx.conf"), (), ())
        assert {site.certificates[0] for site in found} == {"/c/a.pem"}
        monkeypatch.setattr(webservers, "MOST_FILES", 3)
        assert SITES(str(here / "nginx.conf"), (), ())[1].left_out > 0

    def test_apache_with_includes_globs_lines_that_go_on_and_addresses(self, here):
        (here / "sites").mkdir()
        (here / "apache.conf").write_text(f"ServerRoot /nowhere\nServerRoot {here}\nIncludeOptional sites/*.conf\n")
        (here / "tls.inc").write_text("SSLCertificateFile ssl/a.pem\n")
        (here / "sites" / "a.conf").write_text(
            "<VirtualHost 10.0.0.1:443 [2001:db8::1]:443 *:8443>\n ServerName a.example.org\n ServerAlias \\\n"
            '  "b.example.org" c.example.org\n Include tls.inc\n SSLCertificateKeyFile "/c/my key"\n</VirtualHost>\n'
        )
        (here / "sites" / "no.txt").write_text("SSLCertificateFile /c/no.pem")
        (site,), _ = SITES("/none", (str(here / "apache.conf"),), ())
        assert (site.certificates, site.keys) == ([f"{here}/ssl/a.pem"], ["/c/my key"])
        assert site.names == ["a.example.org", "b.example.org", "c.example.org"]
        assert site.listens == [("10.0.0.1", 443), ("2001:db8::1", 443), ("", 8443)]

    def test_haproxys_files_folders_and_lists(self, here):
        (here / "certs").mkdir()
        for name in ("a.pem", "b.pem", "b.pem.key", "b.pem.issuer", ".hidden"):
            (here / "certs" / name).write_text("")
        (here / "list").write_text("# comment\nx.pem [alpn h2] *.example.org\n/abs/y.pem\n")
        (here / "haproxy.cfg").write_text(
            f"global\n crt-base {here}/base\nfrontend f\n bind :443,10.0.0.1:8443 ssl crt {here}/certs alpn h2 # no\n"
            f" bind *:9443 ssl crt-list {here}/list\n bind :80\n"
        )
        (here / "base").mkdir()
        (here / "base" / "z.pem").write_text("")
        found, _ = SITES("/none", (), (str(here / "haproxy.cfg"),))
        assert [(site.certificates, site.listens) for site in found] == [
            ([f"{here}/certs/a.pem", f"{here}/certs/b.pem"], [("", 443), ("10.0.0.1", 8443)]),
            ([f"{here}/base/x.pem", "/abs/y.pem"], [("", 9443)]),
        ]


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
            chain, whole = handshake.served("127.0.0.1", server.server_address[1], "", 3)
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

    def test_a_name_that_no_client_can_ask_for_is_not_asked(self, here):
        leaf = make("a.example.org")
        label = "a" * 64
        with serving(context_of(here, leaf.pem, leaf.key_pem)) as server:
            port = server.server_address[1]
            names = f"{label}.example.org {'.'.join([label[:60]] * 5)} {label[:63]}.example.org"
            (here / "nginx.conf").write_text(
                f"server {{ listen {port}; server_name {names}; ssl_certificate /none.pem; }}"
            )
            found, result = probe(ports=[port])
        assert [one["sni"] for one in found if one["where"] == "served"] == ["", f"{label[:63]}.example.org"]
        assert result.facts["left_out"] == 0

    @pytest.mark.parametrize(("name", "asked"), [("", "localhost"), ("b.example.org", "b.example.org")])
    def test_an_endpoint_is_asked_for_its_name_or_its_address(self, here, name, asked):
        leaf, seen = make("localhost"), []
        context = context_of(here, leaf.pem, leaf.key_pem)
        context.sni_callback = lambda _tls, sni, _context: seen.append(sni)
        with serving(context) as server:
            endpoint = {"address": "localhost", "port": server.server_address[1], "name": name, "protocol": "tls"}
            found, _ = probe(endpoints=[endpoint, {**endpoint, "address": "127.0.0.1", "name": ""}])
        assert ([one["sni"] for one in found], set(seen)) == ([asked, "127.0.0.1"], {asked, None})

    def test_a_port_of_another_container_in_the_same_network_does_not_count(self, here, monkeypatch):
        leaf = make("a.example.org")
        with serving(context_of(here, leaf.pem, leaf.key_pem)) as server:
            port = server.server_address[1]
            assert [one.seen for one in listeners.listening({port})] == [True]
            monkeypatch.setattr(listeners, "_owners", lambda inodes: {})
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
        monkeypatch.setattr(knocks, "HANDSHAKE_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            found, _ = probe(ports=[silent.getsockname()[1]])
        assert [(one["chain"], "timed out" in one["error"]) for one in found] == [([], True)]


class TestTrust:
    @pytest.fixture
    def store(self, here, monkeypatch):
        """A store of authorities of the test's own."""

        def hold(*roots):
            (here / "store.pem").write_bytes(b"".join(one.pem for one in roots))
            monkeypatch.setenv("SSL_CERT_FILE", str(here / "store.pem"))
            monkeypatch.setenv("SSL_CERT_DIR", str(here / "none"))

        return hold

    ROOT = make("Root", authority=True, days=400)
    MIDDLE = make("Middle", ROOT, authority=True, days=300)
    ENDED = make("Ended", ROOT, authority=True, days=10, age=20)

    @pytest.mark.parametrize(
        ("leaf", "sent", "verdict"),
        [
            (make("a.example.org", MIDDLE), [MIDDLE], "trusted"),
            (make("a.example.org", MIDDLE), [], "issuer_unknown"),
            (make("a.example.org"), [], "self_signed"),
            (make("old.example.org", MIDDLE, age=99), [MIDDLE], "out_of_time"),
            (make("a.example.org", ENDED), [ENDED], "out_of_time"),
        ],
        ids=["whole", "without intermediate", "self-signed", "expired", "expired intermediate"],
    )
    def test_what_openssl_says_by_the_hosts_store(self, here, store, leaf, sent, verdict):
        store(self.ROOT)
        chain = leaf.pem + b"".join(one.pem for one in sent)
        with serving(context_of(here, chain, leaf.key_pem)) as server:
            (found,), _ = probe(ports=[server.server_address[1]])
        assert found["trust"]["verdict"] == verdict

    def test_a_private_root_that_is_sent_along(self, here, store):
        store(self.ROOT)
        other = make("Other", authority=True)
        leaf = make("a.example.org", other)
        with serving(context_of(here, leaf.pem + other.pem, leaf.key_pem)) as server:
            (found,), _ = probe(ports=[server.server_address[1]])
        assert found["trust"]["verdict"] == "private"

    def test_without_a_store_it_is_unknown(self, here, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(here / "none"))
        monkeypatch.setenv("SSL_CERT_DIR", str(here / "none"))
        leaf = make("a.example.org")
        with serving(context_of(here, leaf.pem, leaf.key_pem)) as server:
            (found,), _ = probe(ports=[server.server_address[1]])
        assert found["trust"]["verdict"] == "unknown"


class TestNamesAndPlaces:
    @pytest.fixture(autouse=True)
    def all_here(self, monkeypatch):
        monkeypatch.setattr(listeners, "is_here", lambda address: True)

    def knocks(self, *sites, bound="0.0.0.0", lineages=()):
        one = listeners.Listener(socket.AF_INET, bound, 443, "1")
        found = knocks._knocks([one], {443: "tls"}, sites)
        knocks._name(found, sites, lineages)
        return {(knock.address, knock.port): (knock.expected, knock.further) for knock in found}

    def site(self, *names, listens=(("", 443),), server="nginx"):
        site = webservers.Site(server)
        site.names, site.listens, site.certificates = list(names), list(listens), ["/c/a.pem"]
        return site

    def test_a_name_is_expected_where_it_is_configured(self):
        found = self.knocks(self.site("a"), self.site("b", listens=[("10.0.0.1", 443)]), lineages=["l"])
        assert found == {
            ("127.0.0.1", 443): ({"a": ["/c/a.pem"]}, {"l"}),
            ("10.0.0.1", 443): ({"b": ["/c/a.pem"]}, {"l"}),
        }

    def test_a_listener_of_one_address_has_the_names_of_that_address(self):
        found = self.knocks(self.site("a"), self.site("b", listens=[("10.0.0.1", 443)]), bound="10.0.0.1")
        assert found == {("10.0.0.1", 443): ({"b": ["/c/a.pem"]}, {"a"})}

    def test_a_site_that_listens_elsewhere_is_only_tried(self):
        assert self.knocks(self.site("a", listens=[("", 8443)])) == {("127.0.0.1", 443): ({}, {"a"})}

    def test_a_port_that_goes_silent_is_asked_for_no_more_names(self, here, monkeypatch):
        calls = []

        def silent(*asked):
            calls.append(asked)
            raise TimeoutError("timed out")

        monkeypatch.setattr(handshake, "served", silent)
        knock = knocks.Knock("127.0.0.1", 443, "tls", True)
        knock.expected = {f"n{n}.example.org": [] for n in range(300)}
        out, answers = Quiet(), knocks.Answers()
        knocks._ask_all(knock, 1000, time.monotonic() + 60, out, answers)
        assert (len(calls), [one["fault"] for one in out.found]) == (1, ["hung"])

    def test_an_address_that_lies_with_another_host_is_listed_and_not_asked(self, here, monkeypatch):
        monkeypatch.setattr(listeners, "is_here", lambda address: address == "127.0.0.1")
        leaf = make("a.example.org")
        with serving(context_of(here, leaf.pem, leaf.key_pem), "0.0.0.0") as server:
            port = server.server_address[1]
            (here / "nginx.conf").write_text(
                f"server {{ listen 192.0.2.9:{port}; server_name b.example.org; ssl_certificate /none.pem; }}"
            )
            found, result = probe(ports=[port])
        assert [one["address"] for one in found if one["where"] == "served"] == ["127.0.0.1"] * 2
        assert result.facts["elsewhere"] == ["192.0.2.9"]

    def test_a_limit_of_handshakes_is_told(self, here, monkeypatch):
        leaf = make("a.example.org")
        monkeypatch.setattr(knocks, "MOST_HANDSHAKES", 5)
        with serving(context_of(here, leaf.pem, leaf.key_pem)) as server:
            port = server.server_address[1]
            names = " ".join(f"n{n}.example.org" for n in range(20))
            (here / "nginx.conf").write_text(
                f"server {{ listen {port}; server_name {names}; ssl_certificate /none.pem; }}"
            )
            found, result = probe(ports=[port])
        assert (len([one for one in found if one["where"] == "served"]), result.facts["left_out"]) == (5, 16)

    def test_ports_that_anybody_may_open_come_last_and_use_up_nothing(self, here, monkeypatch):
        monkeypatch.setattr(knocks, "MOST_BYTES", 1000)
        monkeypatch.setattr(
            handshake, "served", lambda address, port, *_: ([b"x" * (500 if port < 1024 else 100)], True)
        )
        monkeypatch.setattr(handshake, "trust", lambda *_: {"verdict": "trusted", "detail": ""})
        bound = [(f"127.0.0.{number}", 8443) for number in range(1, 9)] + [("127.0.0.1", 443)]
        found = [listeners.Listener(socket.AF_INET, *place, "1") for place in bound]
        for one in found:
            one.pid = 1
        monkeypatch.setattr(listeners, "listening", lambda ports: found)
        out = Quiet()
        answers = knocks.local({443: "tls", 8443: "tls"}, [], [], out)
        assert [one["port"] for one in out.found] == [443] + [8443] * 5
        assert answers.left_out == 3


class TestWhoRenews:
    DEBIAN = (
        "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && certbot -q renew\n"
        "# 1 1 * * * root certbot renew\n"
    )

    @pytest.fixture
    def cron(self, here, monkeypatch):
        (here / "cron.d").mkdir()
        monkeypatch.setattr(certbot_state, "TABLES", (str(here / "none"), str(here / "cron.d")))
        monkeypatch.setattr(certbot_state, "_cron_runs", lambda: True)
        monkeypatch.setattr(certbot_state, "SYSTEMD", str(here / "run/systemd/system"))
        return here / "cron.d"

    def test_a_line_of_cron_that_renews(self, here, cron):
        assert certbot_state.renewed_by(Quiet()) == ""
        (cron / "mine").write_text("0 3 * * * root certbot renew --quiet\n")
        assert certbot_state.renewed_by(Quiet()) == str(cron / "mine")

    def test_debians_own_line_does_nothing_where_systemd_runs(self, here, cron, monkeypatch):
        (cron / "certbot").write_text(self.DEBIAN.replace("/run/systemd/system", str(here / "run/systemd/system")))
        assert certbot_state.renewed_by(Quiet()) == str(cron / "certbot")
        (here / "run/systemd/system").mkdir(parents=True)
        monkeypatch.setattr(tools, "find", lambda name: None)
        assert certbot_state.renewed_by(Quiet()) == ""

    def test_a_table_without_a_cron_that_runs_is_none(self, cron, monkeypatch):
        (cron / "mine").write_text("0 3 * * * root certbot renew\n")
        monkeypatch.setattr(certbot_state, "_cron_runs", lambda: False)
        assert certbot_state.renewed_by(Quiet()) == ""

    def test_a_script_of_a_day(self, here, cron, monkeypatch):
        (here / "daily").mkdir()
        (here / "daily" / "renew").write_text("#!/bin/sh\nexec certbot -q renew\n")
        monkeypatch.setattr(certbot_state, "SCRIPTS", (str(here / "daily"),))
        assert certbot_state.renewed_by(Quiet()) == str(here / "daily" / "renew")

    @pytest.mark.parametrize("answer", ["active", "inactive", "", "exit 3"])
    def test_a_timer_of_systemd(self, here, cron, answer, monkeypatch):
        (here / "run/systemd/system").mkdir(parents=True)
        said = f"printf 'ActiveState={answer}\\nId=certbot.timer\\n'" if " " not in answer else answer
        (here / "systemctl").write_text(f"#!/bin/sh\n{said}\n")
        (here / "systemctl").chmod(0o755)
        monkeypatch.setattr(certbot_state, "TIMERS", ("certbot.timer",))
        monkeypatch.setattr(tools, "find", lambda name: str(here / name))
        assert certbot_state.renewed_by(Quiet()) == ("certbot.timer" if answer == "active" else "")


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
        monkeypatch.setattr(certbot, "HOOKS_SECONDS", 0)
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
        old, new = make("a.example.org"), make("a.example.org", age=0)
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

    @pytest.mark.parametrize(
        ("new", "reason", "said"),
        [
            (make("b.example.org", age=0), "name_mismatch", "is for b.example.org, the old one was for a.example.org"),
            (make("a.example.org", age=2), "renewal_failed", "ends before the old one"),
        ],
        ids=["other names", "earlier end"],
    )
    def test_a_new_certificate_that_does_not_stand_for_the_old_one(self, here, renew, pair, new, reason, said):
        old, _new, put = pair
        (here / "new.pem").write_bytes(new.pem)
        found = renew(put, old.serial)
        assert (found["state"], found["reason"], said in found["detail"]) == ("failed", reason, True)

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

    @pytest.fixture
    def nginx(self, here, monkeypatch):
        """A server of the test's with a unit; `test` and `reload` are its shell scripts, `calls` what was run."""
        monkeypatch.setattr(listeners, "unit_of", lambda pid: "nginx.service")

        def call(test="exit 0", reload="exit 0"):
            for name, body in (("nginx", test), ("systemctl", reload)):
                (here / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{here}/calls\n{body}\n')
                (here / name).chmod(0o755)
            monkeypatch.setattr(tools, "find", lambda name: str(here / name) if (here / name).exists() else None)

        return call

    def test_a_configuration_that_would_not_load_is_said_before(self, here, renew, pair, nginx):
        old, _new, put = pair
        with serving(context_of(here, old.pem, old.key_pem)) as server:
            place = {"address": "127.0.0.1", "port": server.server_address[1], "sni": ""}
            nginx(test="echo 'nginx: [emerg] unknown directive \"x\"' >&2; exit 1")
            found = renew(put, old.serial, [place])
        assert (found["state"], found["reason"]) == ("failed", "config_invalid")
        assert 'nginx: [emerg] unknown directive "x"' in found["detail"]
        assert found["measured"]["tried"] is False
        assert not (here / "arguments").exists()

    def test_where_the_hooks_do_not_reload_we_do_after_a_test(self, here, renew, pair, nginx):
        old, _new, put = pair
        with serving(context_of(here, old.pem, old.key_pem)) as server:
            place = {"address": "127.0.0.1", "port": server.server_address[1], "sni": ""}
            nginx()
            found = renew(put, old.serial, [place])
        assert (found["state"], found["reason"]) == ("failed", "served_differs")  # this server cannot reload
        assert "certbot's hooks did not reload nginx.service, so it was reloaded" in found["detail"]
        assert (here / "calls").read_text() == "nginx -t -q\nnginx -t -q\nsystemctl reload -- nginx.service\n"

    def test_a_place_of_one_address_belongs_to_what_listens_everywhere(self, here, renew, pair, nginx):
        old, _new, put = pair
        with serving(context_of(here, old.pem, old.key_pem), "0.0.0.0") as server:
            place = {"address": "127.0.0.2", "port": server.server_address[1], "sni": ""}
            nginx()
            renew(put, old.serial, [place])
        assert (here / "calls").read_text() == "nginx -t -q\nnginx -t -q\nsystemctl reload -- nginx.service\n"

    def test_a_port_that_does_not_answer_afterwards_is_said_to(self, renew, pair):
        old, _new, put = pair
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        found = renew(put, old.serial, [{"address": "127.0.0.1", "port": port, "sni": ""}])
        assert (found["state"], found["reason"]) == ("failed", "served_differs")
        assert f"127.0.0.1:{port} does not answer" in found["detail"]

    def test_what_does_not_pass_its_test_afterwards_is_not_reloaded(self, here, renew, pair, nginx):
        old, _new, put = pair
        with serving(context_of(here, old.pem, old.key_pem)) as server:
            place = {"address": "127.0.0.1", "port": server.server_address[1], "sni": ""}
            nginx(test=f"test ! -e {here}/arguments")
            found = renew(put, old.serial, [place])
        assert (found["state"], found["reason"]) == ("failed", "config_invalid")
        assert "systemctl" not in (here / "calls").read_text()

    @pytest.mark.parametrize("unit", ["", "ssh.service", "nginx.service.evil", "caddy.service", "x@nginx.service"])
    def test_only_servers_of_the_table_are_reloaded(self, here, renew, pair, nginx, unit, monkeypatch):
        old, _new, put = pair
        nginx()
        monkeypatch.setattr(listeners, "unit_of", lambda pid: unit)
        with serving(context_of(here, old.pem, old.key_pem)) as server:
            place = {"address": "127.0.0.1", "port": server.server_address[1], "sni": ""}
            found = renew(put, old.serial, [place])
        assert (found["reason"], "check the deploy hook" in found["detail"]) == ("served_differs", True)
        assert not (here / "calls").exists()

    @pytest.mark.parametrize(
        "words",
        [
            "Hook 'deploy-hook' reported error code 3",
            'deploy-hook command "/etc/letsencrypt/renewal-hooks/deploy/x" returned error code 3',
        ],
    )
    def test_a_hook_that_failed_is_told_although_the_new_certificate_is_served(self, here, renew, pair, words):
        old, new, put = pair
        with serving(context_of(here, new.pem, new.key_pem)) as server:
            place = {"address": "127.0.0.1", "port": server.server_address[1], "sni": ""}
            found = renew(f"{put}\nprint({words!r})", old.serial, [place])
        assert (found["state"], found["detail"]) == ("done", "deploy-hook failed with code 3")

    def test_a_controller_that_is_gone_does_not_stop_the_work(self, here, renew, pair, monkeypatch):
        class Gone(Quiet):
            def alive(self, doing):
                raise BrokenPipeError

        monkeypatch.setattr(sys.modules[__name__], "Quiet", Gone)
        old, _new, put = pair
        assert renew(put, old.serial)["state"] == "done"

    def test_a_taken_port_is_seen_before_certbot_fails_on_it(self, here, renew, pair):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            (here / "renewal" / "a.example.org.conf").write_text(f"authenticator = standalone\nhttp01_port = {port}\n")
            found = renew("pass", pair[0].serial)
        assert (found["reason"], str(port) in found["detail"]) == ("renewal_failed", True)
        assert not (here / "arguments").exists()

    @pytest.mark.parametrize(("line", "frees"), [("pre-hook = stop-it", True), ("#pre-hook = x", False), ("", False)])
    def test_a_hook_among_certbots_defaults_may_free_the_port(self, here, monkeypatch, line, frees):
        monkeypatch.setattr(certbot_state, "DEFAULTS", str(here / "cli.ini"))
        (here / "cli.ini").write_text(f"key-type = ecdsa\n{line}\n")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            (here / "renewal" / "a.example.org.conf").write_text(
                f"authenticator = standalone\nhttp01_port = {taken.getsockname()[1]}\n"
            )
            assert (certbot_state.conflict("a.example.org") == "") is frees

    def test_files_that_hooks_make_are_readable_for_services(self, here, renew, pair):
        before = os.umask(0o077)
        try:
            renew(f"open({str(here / 'copy.pem')!r}, 'w').close()", pair[0].serial)
        finally:
            os.umask(before)
        assert (here / "copy.pem").stat().st_mode & 0o777 == 0o644

    def test_a_lost_outcome_is_found_out_by_what_is_served(self, here, pair):
        old, new, _put = pair
        change = {"id": "c", "object": {"lineage": "a.example.org", "serial": old.serial}}
        found = certificates.recall(change)
        assert (found["state"], found["measured"]) == ("unknown", {"serial_after": old.serial})
        lineage(here, "a.example.org", new)
        assert certificates.recall(change)["state"] == "unknown"
        for serves, state in ((new, "done"), (old, "failed")):
            with serving(context_of(here, serves.pem, serves.key_pem)) as server:
                place = {"address": "127.0.0.1", "port": server.server_address[1], "sni": ""}
                change["object"]["served"] = [place]
                assert certificates.recall(change)["state"] == state


def test_certificates_are_read_as_cryptography_reads_them():
    for days in (20, 90, 40000):  # the times change their form in 2050
        made = make("a.example.org", days=days, names=("A.example.org", "*.example.org"))
        facts, end = der.facts_of(made.der), made.certificate.not_valid_after_utc
        assert facts.serial == der.serial_of(made.der) == made.serial
        assert (facts.not_after, facts.names) == (f"{end:%Y%m%d%H%M%SZ}", {"a.example.org", "*.example.org"})
    assert der.facts_of(make("Root", authority=True).der).names == set()


def test_what_is_no_certificate_is_a_value_error_and_nothing_else():
    whole = make("a.example.org").der
    for broken in (b"", b"0", b"\x30\x82\xff\xff\x30", b"hello", *(whole[:cut] for cut in range(0, len(whole), 7))):
        with pytest.raises(ValueError, match="certificate"):
            der.serial_of(broken)
    generator = random.Random(7)
    for _ in range(2000):
        spoilt = bytearray(whole)
        spoilt[generator.randrange(len(whole))] = generator.randrange(256)
        with contextlib.suppress(ValueError):
            der.facts_of(bytes(spoilt))


def test_own_addresses_are_told_from_those_of_others():
    assert [listeners.is_here(one) for one in ("127.0.0.1", "127.0.9.9", "::1")] == [True, True, True]
    assert [listeners.is_here(one) for one in ("192.0.2.9", "2001:db8::9")] == [False, False]


PROBE = """
import json, sys
sys.path.insert(0, {root!r})
from maintenancebot.helper.certificates import certbot_state, certificates, webservers
certbot_state.LIVE = "/none"
webservers.sites = lambda: ([], webservers.Reader())
class Out:
    def finding(self, kind, subject, **data):
        print(json.dumps([subject, data["chain"], data["trust"]["verdict"]]))
    def alive(self, doing):
        pass
certificates.probe({asked!r}, Out())
"""


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_every_python_of_hosts_reads_what_is_served(here, python):
    leaf = make("a.example.org")
    context = context_of(here, leaf.pem, leaf.key_pem)
    with serving(context) as server, starttls.speaking(starttls.imap, context) as imap:
        port = server.server_address[1]
        endpoint = {"address": "127.0.0.1", "port": port, "name": "a.example.org", "protocol": "tls"}
        asked = {"files": [], "ports": [port], "starttls_ports": {"imap": [imap]}, "endpoints": [endpoint]}
        code = PROBE.format(root=str(ROOT), asked=asked)
        done = subprocess.run([python, "-B", "-c", code], capture_output=True, text=True, timeout=60)
    found = {subject: (chain, trust) for subject, chain, trust in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {f"127.0.0.1:{port}", f"127.0.0.1:{imap}", f"127.0.0.1:{port} a.example.org"}, done.stderr
    for chain, trust in found.values():
        assert base64.b64decode(chain[0]) == leaf.der
        assert trust in ("self_signed", "unknown")  # Python 3.6 does not tell why
