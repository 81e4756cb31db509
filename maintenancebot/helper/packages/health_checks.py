"""Pages and addresses that must answer, asked from the host itself."""

import http.client
import socket
import time
import urllib.parse

try:
    import ssl
except ImportError:
    ssl = None

TIMEOUT = 5
TRIES = 3
PAUSE_SECONDS = 1.0


def look(args):
    """{"http": {address: fault or ""}, "tcp": {…}} of all checks, each asked once."""
    return {
        "http": {check["url"]: page(check["url"], check["status"]) for check in args["http"]},
        "tcp": {address: port(address) for address in args["tcp"]},
    }


def missing(before, args):
    """Checks that were well before and fail now, at several tries."""
    asks = [("http", check["url"], page, (check["url"], check["status"])) for check in args["http"]]
    asks += [("tcp", address, port, (address,)) for address in args["tcp"]]
    bad = []
    for kind, name, ask, words in asks:
        if before[kind].get(name) == "":
            why = tried(ask, words)
            if why:
                bad.append({"kind": kind, "name": name, "why": why})
    return bad


def tried(ask, words):
    """The fault of the last try, empty when one went well."""
    why = ""
    for number in range(TRIES):
        if number:
            time.sleep(PAUSE_SECONDS)
        why = ask(*words)
        if not why:
            break
    return why


def page(url, status):
    """Why a page does not answer with the status, empty when it does. Redirects are answers; nothing is verified."""
    parts = urllib.parse.urlsplit(url)
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    connection = None
    try:
        if parts.scheme == "https":
            if ssl is None:
                return "this host's python3 has no ssl module"
            context = ssl._create_unverified_context()  # only whether it answers; names are local ones
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
        connection.request("GET", path, headers={"User-Agent": "maintenancebot"})
        got = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        return "does not answer: %s" % (error or type(error).__name__)
    finally:
        if connection is not None:
            connection.close()
    return "" if got == status else "answers %d instead of %d" % (got, status)


def port(address):
    """Why an address `host:port` takes no connection, empty when it does."""
    host, _, number = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(number)), TIMEOUT).close()
    except (OSError, ValueError) as error:
        return "takes no connection: %s" % (error or type(error).__name__)
    return ""
