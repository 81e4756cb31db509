"""Which certificates the web servers' configurations name, with keys and server names; read within bounds."""

import glob
import os
import re

NGINX = "/etc/nginx/nginx.conf"
APACHE = (
    "/etc/apache2/sites-enabled/*",
    "/etc/apache2/conf-enabled/*",
    "/etc/httpd/conf/httpd.conf",
    "/etc/httpd/conf.d/*.conf",
)
MOST_FILES = 500
MOST_BYTES = 4 * 1024 * 1024
TOKEN = re.compile(r'#[^\n]*|"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|([{};])|([^\s{};]+)')


class Site:
    """One server block: certificate files with their keys, and the names it answers to."""

    def __init__(self, server):
        self.server = server
        self.certificates = []
        self.keys = []
        self.names = []


class _Reader:
    """Reads configuration files up to a number of files and bytes; `unreadable` keeps what could not be read."""

    def __init__(self):
        self.files, self.bytes = MOST_FILES, MOST_BYTES
        self.unreadable = []

    def read(self, path):
        self.files -= 1
        if self.files < 0 or self.bytes <= 0 or not os.path.isfile(path):
            return ""
        try:
            with open(path, "rb") as stream:
                data = stream.read(self.bytes)
        except OSError:
            self.unreadable.append(path)
            return ""
        self.bytes -= len(data)
        return data.decode("utf-8", "surrogateescape")


def sites(nginx=NGINX, apache=APACHE):
    """All sites with a certificate, and the files that could not be read."""
    reader = _Reader()
    found = []
    if os.path.isfile(nginx):
        _nginx(_tokens(reader, nginx, os.path.dirname(nginx), 0), found)
    for pattern in apache:
        for path in sorted(glob.glob(pattern)):
            _apache(reader.read(path), found)
    return [site for site in found if site.certificates], reader.unreadable


def _tokens(reader, path, base, depth):
    """The words of a file with its includes in place."""
    words = []
    for match in TOKEN.finditer(reader.read(path)):
        double, single, mark, word = match.groups()
        text = next((part for part in (double, single, word) if part is not None), None)
        if mark is None and text is None:
            continue  # a comment
        words.append((mark or "", text or ""))
        if mark == ";" and len(words) >= 3 and words[-3][1] == "include" and depth < 10:
            pattern = os.path.join(base, words[-2][1])
            for included in sorted(glob.glob(pattern)):
                words.extend(_tokens(reader, included, base, depth + 1))
    return words


def _nginx(words, found):
    """Walk blocks and directives; what the `http` block sets counts for servers that set none themselves."""
    outer = Site("nginx")
    blocks, statement = [outer], []
    for mark, text in words:
        if not mark:
            statement.append(text)
            continue
        if mark == "{":
            inside = Site("nginx") if statement[:1] == ["server"] else blocks[-1]
            if inside is not blocks[-1]:
                found.append(inside)
            blocks.append(inside)
        elif mark == "}":
            blocks = blocks[:-1] or [outer]
        else:
            _directive(statement, blocks[-1])
        statement = []
    for site in found:
        if not site.certificates:
            site.certificates, site.keys = list(outer.certificates), list(outer.keys)
    if outer.certificates and not found:
        found.append(outer)


def _directive(statement, site):
    if len(statement) < 2:
        return
    word, values = statement[0], statement[1:]
    if word == "ssl_certificate" and _is_file(values[0]):
        site.certificates.append(_below(values[0], "/etc/nginx"))
    elif word == "ssl_certificate_key" and _is_file(values[0]):
        site.keys.append(_below(values[0], "/etc/nginx"))
    elif word == "server_name":
        site.names.extend(values)


def _apache(text, found):
    """Line by line; each VirtualHost is a site of its own."""
    site = outer = Site("apache")
    found.append(outer)
    for line in text.splitlines():
        words = [word.strip("\"'") for word in line.split()]
        if len(words) < 2:
            site = outer if words and words[0].lower() == "</virtualhost>" else site
            continue
        word = words[0].lower()
        if word == "<virtualhost":
            site = Site("apache")
            found.append(site)
        elif word == "sslcertificatefile" and _is_file(words[1]):
            site.certificates.append(words[1])
        elif word == "sslcertificatekeyfile" and _is_file(words[1]):
            site.keys.append(words[1])
        elif word in ("servername", "serveralias"):
            site.names.extend(name.rpartition("://")[2].partition(":")[0] for name in words[1:])


def _is_file(value):
    return "$" not in value and not value.startswith(("data:", "engine:", "store:", "pkcs11:"))


def _below(path, folder):
    return path if path.startswith("/") else os.path.join(folder, path)
