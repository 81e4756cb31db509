"""Which certificates the web servers' configurations name, with keys, server names and where they listen; bounded."""

import glob
import itertools
import os
import re

from ..frames import raw, text
from ..host import listeners

NGINX = "/etc/nginx/nginx.conf"
APACHE = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf")
HAPROXY = ("/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d/*.cfg")
MOST_FILES = 2000
MOST_BYTES = 8 * 1024 * 1024
MOST_DEEP = 10
TOKEN = re.compile(r'#[^\n]*|"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|([{};])|([^\s{};]+)')
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+)')
ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]*)):([0-9]{1,5})|([0-9]{1,5})")
EVERYWHERE = {"*": "", "0.0.0.0": "", "::": "", "_default_": "", "localhost": "127.0.0.1"}  # noqa: S104
NOT_A_CERTIFICATE = (".issuer", ".ocsp", ".sctl", ".key", ".dh")


class Site:
    """One server block: certificate files with their keys in the same order, the names it answers to, and where.

    `listens` has pairs of an address, empty for every address, and a port.
    """

    def __init__(self, server):
        self.server = server
        self.certificates = []
        self.keys = []
        self.names = []
        self.listens = []


class Reader:
    """Reads configuration files up to a number of files and bytes; tells what could not be read or was left out."""

    def __init__(self):
        self.files, self.bytes = MOST_FILES, MOST_BYTES
        self.unreadable = []
        self.left_out = 0

    def read(self, path):
        if not os.path.isfile(raw(path)):
            return ""
        self.files -= 1
        if self.files < 0 or self.bytes <= 0:
            self.left_out += 1
            return ""
        try:
            with open(raw(path), "rb") as stream:
                data = stream.read(self.bytes)
        except OSError:
            self.unreadable.append(path)
            return ""
        self.bytes -= len(data)
        return text(data.replace(b"\0", b"?"))  # no path has one

    def matching(self, pattern):
        """The paths that a pattern of a configuration names, in order; a folder stands for what lies in it."""
        paths = [text(path) for path in sorted(glob.glob(raw(pattern)))]
        return [one for path in paths for one in (self._listed(path) if os.path.isdir(raw(path)) else [path])]

    def _listed(self, folder):
        try:
            names = sorted(text(name) for name in os.listdir(raw(folder)))
        except OSError:
            self.unreadable.append(folder)
            return []
        return [os.path.join(folder, name) for name in names if not name.startswith(".")]


def sites(nginx=NGINX, apache=APACHE, haproxy=HAPROXY):
    """All sites with a certificate, and the reader that says what was not read."""
    reader, found = Reader(), []
    if os.path.isfile(nginx):
        _nginx(_tokens(reader, nginx, os.path.dirname(nginx), 0), os.path.dirname(nginx), found)
    for path in apache:
        if os.path.isfile(path):
            root = os.path.dirname(path)
            root = os.path.dirname(root) if os.path.basename(root) == "conf" else root
            roots = [root]  # ServerRoot may say another
            _apache(_apache_lines(reader, path, roots, 0), roots, found)
    for pattern in haproxy:
        for path in reader.matching(pattern):
            _haproxy(reader, path, found)
    for site in found:
        pairs = [one for one in itertools.zip_longest(site.certificates, site.keys, fillvalue="") if one[0]]
        site.certificates, site.keys = [one for one, _ in pairs], [key for _, key in pairs]
    return [site for site in found if site.certificates], reader


def _tokens(reader, path, base, depth):
    """The words of a file with its includes in place."""
    words = []
    for match in TOKEN.finditer(reader.read(path)):
        double, single, mark, word = match.groups()
        said = next((part for part in (double, single, word) if part is not None), None)
        if mark is None and said is None:
            continue  # a comment
        words.append((mark or "", said or ""))
        if mark == ";" and len(words) >= 3 and words[-3][1] == "include" and depth < MOST_DEEP:
            for included in sorted(glob.glob(raw(os.path.join(base, words[-2][1])))):
                words.extend(_tokens(reader, text(included), base, depth + 1))
    return words


def _nginx(words, base, found):
    """Walk blocks and directives; what the `http` block sets counts for servers that set none themselves."""
    outer = Site("nginx")
    blocks, statement = [outer], []
    for mark, said in words:
        if not mark:
            statement.append(said)
            continue
        if mark == "{":
            inside = Site("nginx") if statement[:1] == ["server"] else blocks[-1]
            if inside is not blocks[-1]:
                found.append(inside)
            blocks.append(inside)
        elif mark == "}":
            blocks = blocks[:-1] or [outer]
        else:
            _directive(statement, base, blocks[-1])
        statement = []
    for site in found:
        if not site.certificates:
            site.certificates, site.keys = list(outer.certificates), list(outer.keys)
    if outer.certificates and not found:
        found.append(outer)


def _directive(statement, base, site):
    if len(statement) < 2:
        return
    word, values = statement[0], statement[1:]
    if word == "ssl_certificate":
        site.certificates.append(_file(values[0], base))
    elif word == "ssl_certificate_key":
        site.keys.append(_file(values[0], base))
    elif word == "server_name":
        site.names.extend(values)
    elif word == "listen":
        site.listens += _listens(values[0], 80)


def _listens(value, default=0):
    """What an address of a configuration means: pairs of address, empty for every address, and port; none for names."""
    found = ENDPOINT.fullmatch(value)
    v6, v4, port, alone = found.groups() if found else ("", value.strip("[]"), default, None)
    address = EVERYWHERE.get(v6 or v4 or "", v6 or v4 or "")
    number = int(port or alone or 0)
    return [(address, number)] if number and (not address or listeners.is_address(address)) else []


def _apache_lines(reader, path, roots, depth):
    """The words of each directive, lines that go on put together, includes in place."""
    for line in reader.read(path).replace("\\\n", " ").splitlines():
        words = _words(line)
        if not words or words[0].startswith("#"):
            continue
        if words[0].lower() in ("include", "includeoptional") and len(words) == 2 and depth < MOST_DEEP:
            for included in reader.matching(_below(words[1], roots[0])):
                for inner in _apache_lines(reader, included, roots, depth + 1):
                    yield inner
            continue
        if words[0].lower() == "serverroot" and len(words) == 2 and words[1].startswith("/"):
            roots[0] = words[1]
        yield words


def _words(line):
    return [double or single or bare for double, single, bare in WORD.findall(line)]


def _apache(lines, roots, found):
    """Directive by directive; each VirtualHost is a site of its own."""
    site = outer = Site("apache")
    found.append(outer)
    for words in lines:
        word = words[0].lower()
        if word == "</virtualhost>":
            site = outer
        if len(words) < 2:
            continue
        if word == "<virtualhost":
            site = Site("apache")
            found.append(site)
            site.listens = [one for value in words[1:] for one in _listens(value.rstrip(">"))]
        elif word == "sslcertificatefile":
            site.certificates.append(_file(words[1], roots[0]))
        elif word == "sslcertificatekeyfile":
            site.keys.append(_file(words[1], roots[0]))
        elif word in ("servername", "serveralias"):
            site.names.extend(name.rpartition("://")[2].partition(":")[0] for name in words[1:])


def _haproxy(reader, path, found):
    """Each `bind` with `crt` is a site; the files hold certificate and key, and say themselves for which names."""
    base = ""
    for line in reader.read(path).splitlines():
        words = _words(line)
        words = words[: next((at for at, word in enumerate(words) if word.startswith("#")), len(words))]
        if words[:1] == ["crt-base"] and len(words) == 2:
            base = words[1]
        if words[:1] != ["bind"] or len(words) < 2:
            continue
        site = Site("haproxy")
        site.listens = [one for value in words[1].split(",") for one in _listens(value)]
        for at, value in enumerate(words[2:], 1):
            if words[at] == "crt":
                site.certificates += _bundles(reader, _below(value, base))
            elif words[at] == "crt-list":
                site.certificates += _crt_list(reader, value, base)
        found.append(site)


def _bundles(reader, path):
    return [one for one in reader.matching(glob.escape(path)) if not one.endswith(NOT_A_CERTIFICATE)]


def _crt_list(reader, path, base):
    lines = [line.split() for line in reader.read(path).splitlines()]
    return [_below(words[0], base) for words in lines if words and not words[0].startswith("#")]


def _file(value, folder):
    """The path that a certificate or key stands in, empty when it is none; it keeps its place beside the other."""
    is_file = "$" not in value and not value.startswith(("data:", "engine:", "store:", "pkcs11:"))
    return _below(value, folder) if is_file else ""


def _below(path, folder):
    return path if path.startswith("/") else os.path.join(folder, path)
