"""What a port serves: the certificates as they are, and what this host's own store of authorities says of them."""

import contextlib
import socket
import time

from . import starttls

NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")

OF_TIME = (9, 10)
SELF_SIGNED = 18
PRIVATE = 19
ISSUER_UNKNOWN = (2, 20, 21)
"""OpenSSL's codes: not yet or no longer valid (the chain itself is found first); a certificate that signed itself;
a chain that ends at such a one; an issuer that is neither sent nor known here."""


def served(address, port, name, limit, protocol="tls"):
    """The certificates that a port serves for a name, as DER, leaf first: (certificates, whole chain or only the leaf).

    Nothing is verified here: an expired or unknown certificate is what we are looking for. OSError (ssl.SSLError
    among them) when the port does not speak TLS, refuses, or takes longer than `limit` seconds.
    """
    with _shaken(_context(), address, port, name, limit, protocol) as tls:
        leaf, chain = tls.getpeercert(True), _chain(tls)
    if not leaf:
        raise OSError("no certificate served")
    return (chain, True) if chain and chain[0] == leaf else ([leaf], False)


def trust(address, port, name, limit, protocol="tls"):
    """What this host's store says of the chain that a port serves: {verdict, detail}.

    The verdict is trusted, self_signed, private (ends at a root that is sent along and not known here),
    issuer_unknown, out_of_time (a certificate of an otherwise trusted chain), invalid (detail says how) or unknown.
    """
    import ssl

    context = _context()
    if not _has_store():
        return {"verdict": "unknown", "detail": "this host has no store of authorities"}
    try:
        context.load_default_certs()
        context.verify_mode = ssl.CERT_REQUIRED
        with _shaken(context, address, port, name, limit, protocol):
            return {"verdict": "trusted", "detail": ""}
    except ssl.SSLError as error:
        return _said(getattr(error, "verify_code", 0), str(getattr(error, "verify_message", "") or error)[:200])
    except (OSError, ValueError) as error:
        return {"verdict": "unknown", "detail": str(error)[:200]}


def _said(code, message):
    verdict = "invalid" if code else "unknown"  # before Python 3.7 the reason is not told
    if code in OF_TIME:
        verdict = "out_of_time"
    elif code in ISSUER_UNKNOWN:
        verdict = "issuer_unknown"
    elif code in (SELF_SIGNED, PRIVATE):
        verdict = "self_signed" if code == SELF_SIGNED else "private"
    return {"verdict": verdict, "detail": message}


def fault_of(error):
    """The kind of a failure: refused, hung, not_offered, garbled, not_tls, or failed with words of its own."""
    import ssl

    if isinstance(error, starttls.NotOffered):
        return "not_offered"
    if isinstance(error, starttls.Garbled):
        return "garbled"
    if isinstance(error, ssl.SSLError) and error.reason in NOT_TLS:
        return "not_tls"
    if isinstance(error, socket.timeout):
        return "hung"
    if isinstance(error, (ConnectionRefusedError, socket.gaierror)):
        return "unreachable"
    return "refused"


@contextlib.contextmanager
def _shaken(context, address, port, name, limit, protocol):
    end = time.monotonic() + limit
    with contextlib.closing(socket.create_connection((address, port), timeout=limit)) as connection:
        starttls.ask(connection, protocol, max(0.1, end - time.monotonic()))
        connection.settimeout(max(0.1, end - time.monotonic()))
        with contextlib.closing(context.wrap_socket(connection, server_hostname=name or None)) as tls:
            yield tls


def _has_store():
    import ssl

    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or paths.capath is not None


def _context():
    import ssl  # late: it costs time and memory, and most hosts have no such port
    import warnings

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:  # look at old servers as well; this is no connection that carries data
            context.minimum_version = ssl.TLSVersion.TLSv1  # novm: from 3.7 on, before that there is nothing to lower
            context.set_ciphers("ALL:@SECLEVEL=0")
        except (AttributeError, ValueError, ssl.SSLError):
            pass
    return context


def _chain(tls):
    """All certificates as served; Python offers them from 3.10, publicly from 3.13."""
    get = getattr(tls, "get_unverified_chain", None) or getattr(tls._sslobj, "get_unverified_chain", None)
    if get is None:
        return []
    return [item if isinstance(item, bytes) else _der(item) for item in get() or []]


def _der(certificate):
    import _ssl

    return certificate.public_bytes(_ssl.ENCODING_DER)
