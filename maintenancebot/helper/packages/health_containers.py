"""The running containers of a host, by the daemon's own socket; read only, and a sleeping daemon is left asleep."""

import http.client
import json
import socket

from ..containers import containers

SOCKET = "/run/docker.sock"
TIMEOUT = 10
MANY = 200


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        http.client.HTTPConnection.__init__(self, "localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self):
        """Connect to the path in place of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def look(path=SOCKET):
    """{container's name: what is known of it}; None where no daemon listens or answers."""
    about = containers.socket_facts(path)
    if not about["is_socket"] or (about["held_by_systemd"] and not containers.running(("dockerd",))):
        return None
    try:
        rows = get(path, "/containers/json?all=1")[:MANY]
        return {row["Names"][0].lstrip("/"): known(get(path, "/containers/%s/json" % row["Id"])) for row in rows}
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException):
        return None


def get(path, target):
    """What the daemon answers to a GET."""
    connection = _Connection(path)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError("%s: status %d" % (target, answer.status))
    return json.loads(body.decode("utf-8"))


def known(told):
    """One container, as a record keeps it."""
    state = told["State"]
    return {
        "state": state["Status"],
        "restarts": int(told.get("RestartCount") or 0),
        "start": state.get("StartedAt", ""),
        "health": (state.get("Health") or {}).get("Status", ""),
    }


def counts(name, was, args):
    """Whether a container was well before."""
    return was["state"] == "running"


def compare(before, after, args):
    """{container: why} of those that were running before and are not now, or are not healthy any more."""
    bad = {}
    for name, was in before.items():
        now = after.get(name)
        if was["state"] != "running":
            continue
        if now is None:
            bad[name] = "is gone"
        elif now["state"] != "running":
            bad[name] = "is " + now["state"]
        elif was["health"] == "healthy" and now["health"] == "unhealthy":
            bad[name] = "is unhealthy by its own check"
    return bad
