"""Looks at certificates: in files, in certbot's lineages, in web server configurations, and as ports serve them.

Only certificates leave the host, and they are public; keys are compared here, by their public halves.
"""

import os
import re

from ..results import Result
from . import certbot_state, certificate_files, knocks, webservers
from .certificate_files import Looked, Source

LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST_NAME = re.compile(r"(?=.{1,253}$)%s(?:\.%s)+" % (LABEL, LABEL))
MOST_TOLD = 20


def probe(args, out):
    """Report a finding for each certificate file and each served certificate.

    `args`: files (globs), ports, starttls_ports (protocol to ports), endpoints ({address, port, name, protocol}).
    """
    looked = Looked()
    lineages = certbot_state.lineages(looked)
    sites, reader = webservers.sites()
    looked.unreadable += reader.unreadable
    for site in sites:
        site.names = sorted({name.lstrip(".") for name in site.names if HOST_NAME.fullmatch(name.lstrip("."))})
    sources = _sources(args["files"], lineages, sites, looked)
    certificate_files.report(sources, out, looked, _of_lineage)
    ports = {port: protocol for protocol, ports in args["starttls_ports"].items() for port in ports}
    ports.update(dict.fromkeys(args["ports"], "tls"))
    answers = knocks.local(ports, sites, filter(HOST_NAME.fullmatch, lineages), out)
    left_out = looked.left_out + reader.left_out + answers.left_out + knocks.endpoints(args["endpoints"], out)
    facts = {
        "certbot": certbot_state.program() is not None,
        "renewed_by": certbot_state.renewed_by(out) if lineages else "",
        "not_tls": sorted(set(answers.not_tls)),
        "no_starttls": sorted(set(answers.not_offered)),
        "unreadable": looked.unreadable[:MOST_TOLD],
        "unseen_ports": answers.unseen,
        "elsewhere": answers.elsewhere[:MOST_TOLD],
        "left_out": left_out,
        "keys_not_compared": looked.keys.failed,
    }
    return _result(facts, answers, looked)


def _result(facts, answers, looked):
    if answers.lacks:
        said = "this host's python3 has no ssl: what its ports serve was not looked at"
        return Result("unknown", "lacks", said, facts)
    if os.geteuid() != 0 and (looked.unreadable or answers.unseen):
        return Result("ok", "needs_root", "what only root may see was not looked at", facts)
    return Result("ok", "", "", facts)


def _sources(patterns, lineages, sites, looked):
    """Certificate files by path."""
    sources = {}

    def add(path, source):
        if path in sources:
            sources[path].join(source)
        else:
            sources[path] = source

    for lineage in lineages:
        path = certbot_state.lineage_file(lineage)
        add(path, Source("certbot", os.path.join(os.path.dirname(path), "privkey.pem"), (), lineage))
    for site in sites:
        for number, path in enumerate(site.certificates):
            add(path, Source(site.server, site.keys[number] if number < len(site.keys) else "", site.names))
    for pattern in patterns:
        for path in certificate_files.matching(pattern, (certbot_state.LIVE,), looked):
            add(path, Source("configured"))
    return sources


def _of_lineage(source):
    """What certbot can do for a file: whether it renews it, and what stands in its way."""
    if not source.lineage:
        return {"lineage": "", "renewable": False}
    renewable = certbot_state.settings(source.lineage) is not None
    conflict = certbot_state.conflict(source.lineage) if renewable else ""
    return {"lineage": source.lineage, "renewable": renewable, "conflict": conflict}


def renew(step, out):
    """Renew one lineage by certbot and look at what the ports serve then."""
    from . import certbot

    return certbot.renew(step, out)


def recall(change):
    """What became of a renewal whose outcome was never recorded."""
    from . import certbot

    return certbot.recall(change)
