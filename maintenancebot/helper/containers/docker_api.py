"""A small client of the API that docker and podman serve on a socket of the host: single objects only, by id."""

import http.client
import json
import os
import socket
from urllib.parse import quote, urlencode

CHUNK = 1024 * 1024
ANSWER_CAP = 64 * 1024 * 1024
ANSWER_SECONDS = 30
NEWEST_API = (1, 51)
"""From 1.53 on the daemon's disk usage no longer has what is read here."""

WORK_SECONDS = 600
"""To remove or to load an object may take long."""


class Trouble(Exception):
    """The daemon gave no answer that can be used; `reason` is a word of the controller's closed list."""

    def __init__(self, reason, detail):
        self.reason = reason
        self.detail = detail
        Exception.__init__(self, detail)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, limit):
        http.client.HTTPConnection.__init__(self, "localhost", timeout=limit)
        self._path = path

    def connect(self):
        """Connect to the socket of the host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Daemon:
    """A daemon whose identity was verified; each question is a connection of its own. Raises Trouble."""

    def __init__(self, path):
        from . import containers

        about = containers.socket_facts(path)
        if not about["is_socket"]:
            raise Trouble("not_responding", "%s is no socket" % path)
        if about["held_by_systemd"] and not containers.running(containers.DAEMONS):
            raise Trouble("not_responding", "the daemon does not run, and is not started for this")
        self._path = path
        self._prefix = ""
        self.engine = self._identify()

    def _identify(self):
        _, version = self.ask("GET", "/version")
        self._prefix = _prefix(version.get("ApiVersion") if isinstance(version, dict) else None)
        parts = version.get("Components") if isinstance(version, dict) else None
        names = [part.get("Name") for part in parts or () if isinstance(part, dict)]
        if "Podman Engine" in names:
            return "podman"
        if "Engine" in names:
            return "docker"
        raise Trouble("garbled", "what answers there is neither docker nor podman")

    def ask(self, method, path, query=None, body=None, limit=ANSWER_SECONDS):
        """(status, what the answer's JSON says) of one question; None for an answer without JSON."""
        text = json.dumps(body).encode("ascii") if body is not None else None
        head = {"Content-Type": "application/json"} if text else {}

        def read(answer):
            data = answer.read(ANSWER_CAP)
            try:
                return answer.status, json.loads(data.decode("utf-8")) if data.strip() else None
            except ValueError:
                return answer.status, None

        return self._exchange(method, path, query, text, head, limit, read)

    def found(self, path, query=None):
        """What a GET says; None when there is no such thing."""
        status, answer = self.ask("GET", path, query)
        if status == 404:
            return None
        if status != 200 or answer is None:
            raise Trouble("tool_failed", "the daemon answers %d to %s: %s" % (status, path, message(answer)))
        return answer

    def rows(self, path, query=None):
        """A list of objects; any list of the API may be null."""
        answer = self.found(path, query)
        if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
            raise Trouble("garbled", "%s is not what the API says" % path)
        return answer

    def info(self):
        """What the daemon says of itself."""
        return self.found("/info") or {}

    def receive(self, path, write):
        """GET a stream and hand its pieces to `write`. Raises Trouble when it breaks off."""

        def read(answer):
            if answer.status != 200:
                raise Trouble("tool_failed", "the daemon answers %d to %s" % (answer.status, path))
            while True:
                data = answer.read(CHUNK)
                if not data:
                    return
                write(data)

        self._exchange("GET", path, None, None, {}, WORK_SECONDS, read)

    def send(self, path, query, stream):
        """POST an open file's bytes; (status, the answer's text)."""
        head = {"Content-Type": "application/x-tar", "Content-Length": str(os.fstat(stream.fileno()).st_size)}

        def read(answer):
            return answer.status, answer.read(ANSWER_CAP).decode("utf-8", "replace")

        return self._exchange("POST", path, query, stream, head, WORK_SECONDS, read)

    def _exchange(self, method, path, query, body, head, limit, read):
        connection = _Connection(self._path, limit)
        try:
            connection.request(
                method, self._prefix + path + ("?" + urlencode(query) if query else ""), body=body, headers=head
            )
            return read(connection.getresponse())
        except socket.timeout as error:
            raise Trouble("not_responding", "the daemon does not answer") from error
        except (http.client.BadStatusLine, http.client.IncompleteRead, OSError) as error:
            raise Trouble("not_responding", "the daemon closed the connection: %s" % error) from error
        except http.client.HTTPException as error:
            raise Trouble("garbled", "what answers there does not speak HTTP: %s" % error) from error
        finally:
            connection.close()


def _prefix(version):
    """The newest version of the API that has all that is asked here."""
    try:
        major, minor = (int(number) for number in version.split("."))
    except (AttributeError, ValueError) as error:
        raise Trouble("garbled", "what answers there is neither docker nor podman") from error
    return "/v%d.%d" % min((major, minor), NEWEST_API)


def message(answer):
    """What an answer says of an error."""
    said = answer.get("message") if isinstance(answer, dict) else None
    return " ".join(str(said or "").split())[:300]


def part(name):
    """A name as one part of a path."""
    return quote(name, safe="/:@")
