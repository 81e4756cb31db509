"""One HTTP request to an object store at a signed address: streamed, verified TLS, no redirect, bounded in time.

The request runs in a thread of its own, so that a name server or a store that hangs cannot silence the helper. An
address is a secret: no message here holds one, and words of the store are cut down to its error code.
"""

import importlib
import os
import re
import socket
import threading
import time

from ..files import walk
from ..pulse import Pulse

NEEDED = ("http.client", "ssl", "urllib.parse")
CHUNK = 256 * 1024
SOCKET_SECONDS = 60
BASE_SECONDS = 600
BYTES_A_SECOND = 64 * 1024
"""A request has this much time in all: a base, and what its bytes take on a slow line."""
END_SECONDS = 5
BODY = 4096
CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


class Broken(Exception):
    """The request came to no answer, or to one that may be better next time."""


class Answer:
    """The end of a request: status, headers by small name, and the beginning of an error's text."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = b""

    @property
    def again(self):
        """Whether the same request with a new address may be answered better."""
        expired = self.status in (400, 403) and (b"expired" in self.body.lower() or self._code() == "RequestTimeout")
        return expired or self.status in (408, 429) or (self.status >= 500 and self.status != 501)

    def words(self):
        """Why it is a no, without anything of the address."""
        if 300 <= self.status < 400:
            return "the store answers %d: redirects are not followed, is the region right?" % self.status
        return ("the store answers %d %s" % (self.status, self._code())).rstrip()

    def _code(self):
        found = CODE.search(self.body)
        return found.group(1).decode("ascii") if found else ""


def must_be_possible():
    """Raises Refused(lacks) where python3 came without what HTTP and TLS need, as python3-minimal does."""
    try:
        for name in NEEDED:
            importlib.import_module(name)
    except ImportError as error:
        raise walk.Refused("lacks", "python3 on the host lacks %s" % (error.name or "a module")) from error


def put(signed, size, read, out):
    """Send `size` bytes that `read(offset, count)` gives; returns the Answer. Raises Broken, Refused."""
    return _watched(_Put(signed, size, read), size, out, "sending")


def get(signed, sink, out):
    """Receive into `sink`: `sink.at`, `sink.begin(answer)`, `sink.write(bytes)`; returns the Answer.

    From the byte `sink.at` on, where the store can. Raises Broken, Refused.
    """
    return _watched(_Get(signed, sink), sink.size, out, "receiving")


def _watched(request, size, out, doing):
    seconds = BASE_SECONDS + size // BYTES_A_SECOND
    end = time.monotonic() + seconds
    pulse = Pulse(out, doing)
    request.start()
    try:
        while request.is_alive() and time.monotonic() < end:
            request.join(0.2)
            pulse.beat()
    except BaseException:
        request.stop()
        raise
    late = request.is_alive()
    if not request.stop():
        raise walk.Refused("offload_failed", "a request to the object store does not end")
    if late:
        raise Broken("no end within %d s" % seconds)
    if request.error is not None:
        raise _translated(request.error)
    return request.answer


class _Request(threading.Thread):
    def __init__(self, signed):
        threading.Thread.__init__(self)
        self.daemon = True
        self.answer = None
        self.error = None
        self._signed = signed
        self._stopped = False
        self._connection = None

    def run(self):
        """Never lets an error out: it is the watcher's to judge."""
        try:
            self._connection = _connection(self._signed["url"])
            self._work(self._connection)
        except Exception as error:
            self.error = error
        finally:
            if self._connection is not None:
                self._connection.close()

    def stop(self):
        """End it; False when it does not let go. Even then it reads and writes nothing of ours any more."""
        self._stopped = True
        held = getattr(self._connection, "sock", None)
        if self.is_alive() and held is not None:
            try:
                socket.socket.shutdown(held, socket.SHUT_RDWR)
            except OSError:
                pass
        self.join(END_SECONDS)
        return not self.is_alive()

    def _head(self, connection, method, headers):
        from urllib.parse import urlsplit

        parts = urlsplit(self._signed["url"])
        connection.putrequest(method, parts.path + "?" + parts.query, skip_accept_encoding=True)
        for name, value in list(self._signed["headers"].items()) + list(headers.items()):
            connection.putheader(name, value)
        connection.endheaders()

    def _go_on(self):
        if self._stopped:
            raise Broken("ended")


class _Put(_Request):
    def __init__(self, signed, size, read):
        _Request.__init__(self, signed)
        self._size, self._read = size, read

    def _work(self, connection):
        try:
            self._head(connection, "PUT", {"Content-Length": str(self._size)})
            self._send(connection)
        except OSError:  # a store that says no early closes early: its answer tells more
            try:
                response = connection.getresponse()
            except Exception:
                response = None
            if response is None:
                raise
        else:
            response = connection.getresponse()
        answer = Answer(response)
        answer.body = response.read(BODY)
        self.answer = answer

    def _send(self, connection):
        at = 0
        while at < self._size:
            self._go_on()
            data = self._read(at, min(CHUNK, self._size - at))
            connection.send(data)
            at += len(data)


class _Get(_Request):
    def __init__(self, signed, sink):
        _Request.__init__(self, signed)
        self._sink = sink

    def _work(self, connection):
        headers = {"Accept-Encoding": "identity"}
        if self._sink.at:
            headers["Range"] = "bytes=%d-" % self._sink.at
        self._head(connection, "GET", headers)
        response = connection.getresponse()
        answer = Answer(response)
        if answer.status in (200, 206):
            self._take(response, answer)
        else:
            answer.body = response.read(BODY)
        self.answer = answer

    def _take(self, response, answer):
        self._go_on()
        self._sink.begin(answer)
        data = response.read(CHUNK)
        while data:
            self._go_on()
            self._sink.write(data)
            data = response.read(CHUNK)


def _connection(url):
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=SOCKET_SECONDS)
    if parts.scheme != "https":
        raise walk.Refused("offload_failed", "the store's address is neither http nor https")
    import ssl

    context = ssl.create_default_context()
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=SOCKET_SECONDS, context=context)


def _translated(error):
    """What to raise for what went wrong in the thread; only words that cannot hold an address."""
    if isinstance(error, (Broken, walk.Refused)):
        return error
    name = type(error).__name__
    if "CERTIFICATE_VERIFY" in str(error) or name == "CertificateError":
        return walk.Refused("offload_failed", "this host does not trust the store's certificate")
    if isinstance(error, socket.timeout):
        return Broken("no sign of life for %d s" % SOCKET_SECONDS)
    if isinstance(error, OSError):
        return Broken("%s" % (os.strerror(error.errno) if error.errno and error.errno > 0 else name))
    return Broken("not readable as HTTP: %s" % name)
