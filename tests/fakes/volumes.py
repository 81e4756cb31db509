"""A container daemon that keeps volumes as dockerd does, in folders below a data root, and one image."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from urllib.parse import parse_qs, unquote

from maintenancebot.model import Json
from tests.fakes.daemon import VERSION

Hook = Callable[[str], "tuple[int, Json] | None"]
"""Given method and path, an answer in place of the usual one, or None."""


class VolumeDaemon(ThreadingUnixStreamServer):
    """`containers` and `services` are what it lists; `hook` comes before everything."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = str(root / "docker.sock")
        (root / "volumes").mkdir(parents=True, mode=0o711)
        self.about: dict[str, dict[str, Json]] = {}
        self.image: dict[str, Json] = {}  # as inspected, with the bytes of its archive under "archive"
        self.gone: dict[str, Json] = {}  # the same once it was removed
        self.containers: list[Json] = []
        self.services: list[Json] = []
        self.swarm: Json = {"LocalNodeState": "inactive"}
        self.hook: Hook = lambda _: None
        self.asked: list[str] = []
        super().__init__(self.path, _Handler)

    def volume(self, name: str, **more: Json) -> Path:
        """Make a volume; the folder of its data."""
        data = self.root / "volumes" / name / "_data"
        data.mkdir(parents=True)
        about = {"Name": name, "Driver": "local", "Mountpoint": str(data), "Labels": None, "Options": None}
        self.about[name] = {**about, "CreatedAt": "2026-01-01T00:00:00Z", **more}
        return data

    def answer(self, what: str, body: Json) -> tuple[int, Json]:
        """What becomes of a request, given as method and path without version and query."""
        self.asked.append(what)
        kind, _, path = what.partition(" ")
        lists: dict[str, Json] = {
            "/version": VERSION,
            "/info": {"DockerRootDir": str(self.root), "Swarm": self.swarm},
            "/containers/json": self.containers,
            "/services": self.services,
        }
        special = self.hook(what)
        if special is not None:
            return special
        if what == "POST /volumes/create":
            if body["Name"] not in self.about:
                self.volume(body["Name"], Labels=body["Labels"])
            return 201, self.about[body["Name"]]
        if path.startswith("/images/"):
            return self._image(what, body)
        name = unquote(path.removeprefix("/volumes/"))
        if path.startswith("/volumes/"):
            if name not in self.about:
                return 404, {"message": "no such volume"}
            if kind == "DELETE":
                shutil.rmtree(self.root / "volumes" / name)
                del self.about[name]
                return 204, None
            return 200, self.about[name]
        return (200, lists[path]) if path in lists else (404, {"message": f"no such thing: {path}"})

    def _image(self, what: str, query: Json) -> tuple[int, Json]:
        """What becomes of a request for images; it goes with its last name, as at dockerd."""
        if what == "GET /images/json":
            return 200, [{"Id": self.image["Id"], "ParentId": ""}] if self.image else []
        if what == "POST /images/load":
            self.image, self.gone = {**self.gone, "RepoTags": []}, {}
            return 200, {"stream": "loaded"}
        kind, _, path = what.partition(" ")
        name, _, verb = path.removeprefix("/images/").rpartition("/") if kind != "DELETE" else (path[8:], "", "")
        name = unquote(name)
        tags = self.image.get("RepoTags", [])
        if not self.image or name not in (self.image["Id"], *tags):
            return 404, {"message": "no such image"}
        if kind == "DELETE":
            self.image["RepoTags"] = [tag for tag in tags if tag != name and name != self.image["Id"]]
            if not self.image["RepoTags"]:
                self.image, self.gone = {}, self.image
            return 200, []
        if verb == "tag":
            tags.append(f"{query['repo'][0]}:{query['tag'][0]}")
            return 201, None
        if verb == "get":
            return 200, self.image["archive"]
        return 200, {key: value for key, value in self.image.items() if key != "archive"}


class _Handler(BaseHTTPRequestHandler):
    server: VolumeDaemon
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        if path.startswith("/v1."):
            path = "/" + path.split("/", 2)[2]
        size = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(size)
        is_json = self.headers.get("Content-Type") == "application/json"
        status, answer = self.server.answer(f"{self.command} {path}", json.loads(sent) if is_json else parse_qs(query))
        data = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_DELETE = do_POST = _answer  # noqa: N815  the names that http.server looks for


@contextlib.contextmanager
def keeping_volumes(root: Path) -> Iterator[VolumeDaemon]:
    """Such a daemon, answering."""
    with VolumeDaemon(root) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
