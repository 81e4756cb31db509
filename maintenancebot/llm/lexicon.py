"""Words that decide whether a text may be believed."""

from __future__ import annotations

import re


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


KINDS: tuple[tuple[str, str], ...] = (
    (r"hosts?|servers?|machines?|systems?|fleet", "host"),
    (r"tasks?|checks?|jobs?", "task"),
    (r"packages?", "package"),
    (r"updates?|patch(?:es)?", "update"),
    (r"advisor(?:y|ies)", "advisory"),
    (r"backups?", "backup"),
    (r"certificates?", "certificate"),
    (r"images?", "image"),
    (r"volumes?", "volume"),
    (r"alerts?|episodes?|incidents?", "alert"),
    (r"re(?:boots?|starts?)", "reboot"),
    (r"disks?|file ?systems?", "disk"),
    (r"items?", "item"),
    (r"files?", "file"),
    (r"plans?|approvals?", "plan"),
    (r"runs?", "run"),
    (r"tokens?", "token"),
    (r"dollars?|usd", "dollar"),
    (r"percent|%", "percent"),
    (r"days?", "day"),
    (r"weeks?", "week"),
    (r"months?", "month"),
    (r"hours?|h", "hour"),
    (r"minutes?|min", "minute"),
    (r"seconds?|s", "second"),
    (r"bytes?|b", "byte"),
    (r"[kmgt]i?b", "{}"),
    (r"well|healthy|fine|ok|okay|good|green|passed|valid", "well"),
    (r"fail(?:s|ed|ing|ures?)?|errors?|faults?|bad|broken|down", "failed"),
    (r"unknown|unreachable", "unknown"),
    (r"skipped", "skipped"),
    (r"waits?|waiting|pending", "waiting"),
    (r"due|outstanding", "due"),
    (r"upgraded|installed|patched|updated", "upgraded"),
    (r"healed|fixed|resolved|solved", "healed"),
    (r"escalated", "escalated"),
    (r"drift(?:s|ed|ing)?", "drifted"),
    (r"corrected", "corrected"),
    (r"renewed", "renewed"),
    (r"missed", "missed"),
    (r"freed|reclaimed|recovered", "freed"),
    (r"removed|deleted|purged|pruned", "removed"),
    (r"rebooted|restarted", "reboot"),
)
_KINDS = re.compile("^(?:" + "|".join(f"(?P<k{at}>{pattern})" for at, (pattern, _) in enumerate(KINDS)) + ")$", re.I)

ENDS_A_COUNT = _listed("and but while whereas with on in at after before than is by this last per")
"""What comes after these is about something else."""

NUMBER_WORDS = _listed(
    """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million
    millions billion dozen dozens half third quarter couple several twice thrice double doubled triple tripled
    halved both pair
    """
)

HYPHENATED = _listed(
    """
    follow-up read-only up-to-date out-of-date week-over-week long-standing so-called re-run on-call one-off hands-
    on double-check non-zero year-old re-check end-of-life still-failing
    """
)
"""Words with a hyphen that are no names."""

SOFTWARE = _listed(
    """
    apache apache2 httpd nginx haproxy traefik caddy varnish squid mysql mysqld mariadb postgres postgresql mongodb
    redis memcached elasticsearch opensearch kafka rabbitmq docker dockerd containerd podman kubernetes kubelet
    systemd journald kernel linux grub glibc openssl openssh sshd ssh sudo bash curl wget python perl php ruby java
    tomcat node nodejs bind named unbound postfix exim dovecot samba nfs cron certbot restic borg zookeeper jenkins
    gitlab grafana prometheus vault consul etcd apt dpkg dnf yum rpm zypper debian ubuntu rhel fedora suse xz vim
    git rsync logrotate ntp chrony firewalld iptables nftables selinux apparmor fail2ban aws azure gcp slack
    """
)
"""Names that look like words; they may be written where the data has them."""

EARLIER = re.compile(r"\b(?:before|previous(?:ly)?|last week|a week ago|earlier|prior|up from|down from|than)\b")

PRAISE = re.compile(
    r"\b(?<!not )(?:healthy|success|successful(?:ly)?|perfect(?:ly)?|flawless(?:ly)?|smooth(?:ly)?|excellent|great"
    r"|wonderful|fantastic|clean(?:ly)?|stable|fine|ok|okay|safe(?:ly)?|secure|(?<!as )well|good|complete(?:d|ly)?"
    r"|all|every|everything|everywhere|entire(?:ly)?|fully|whole|as expected|on track|in order|under control|resolved"
    r"|solved|nominal|congratulations)\b"
)

ABSENCE = re.compile(r"\b(?:no|none|nothing|nobody|never|zero|without|free of|neither|absent)\b(?: [\w./-]+)?")

TROUBLE = re.compile(
    r"\b(?:fail\w*|unknown|unreachable|wait\w*|missed|needs?|attention|expir\w*|stuck|drift\w*|bad|stale|broken|down|error\w*"
    r"|not|cannot|could|overdue|due|contested|escalated|skipped|full|damaged|refused|incomplete|missing|unhealthy|wrong)\b"
)


def kind(word: str) -> str:
    """What is counted or said by this word, "" for a word that counts nothing."""
    found = _KINDS.match(word)
    if found is None or found.lastgroup is None:
        return ""
    name = KINDS[int(found.lastgroup[1:])][1]
    return name.format(word.lower())
