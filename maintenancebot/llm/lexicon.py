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
    (r"fail(?:s|ed|ing|ures?)?|errors?|faults?|bad|broken|down|stale|expired", "failed"),
    (r"unknown|unreachable|reach(?:es|ed)?", "unknown"),
    (r"needs?|needed|attention", "need"),
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

ENDS_A_COUNT = _listed("and but while whereas with on in at after before than is by this last per because")
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

PLAIN = _listed(
    """
    a an the this that these those it its itself they them their there here he she who which what when where while
    whose and or but so as if because since for from to of in on at by with about after before above below between
    during within until into over under up out off than then also too again still already only just even most more
    less least same other another each similar different first last next new newer newest old older oldest recent
    latest earlier later now soon week weeks weekly day days month months hour hours minute minutes second seconds time
    times once long longer ago is are was were be been being has have had do does did can cannot could will would may
    might must should not s
    host hosts server servers machine machines fleet group groups task tasks check checks package packages update
    updates patch patches advisory advisories backup backups certificate certificates image images volume volumes
    alert alerts episode episodes disk disks mount system systems file files item items plan plans approval approvals
    run runs space data figure figures number numbers state states reason reasons percent dollar dollars token tokens
    b kb mb gb tb kib mib gib tib bytes byte
    need needs needed person people somebody attention look looks looked see seen note notes
    say says said tell tells told report reports reported show shows showed shown find finds found know known
    change changes changed differ differs differed compare compared count counts counted
    become becomes became remain remains remained stay stays stayed stand stands stood keep keeps kept come comes came
    go goes went get gets got give gives gave given take takes took taken make makes made use uses used
    reach reached reaches read grow grows grew growing grown rise rises rose fall falls fell fill fills filled filling
    begin begins began start starts started continue continues continued happen happens happened
    try tries tried answer answers answered cause causes caused due meanwhile however besides additionally
    expect expected likely probably possible possibly rate whether how why high higher highest low
    lower lowest large larger largest much many main mainly especially
    problem problems trouble troubles issue issues worst worse urgent urgently important open case
    target threshold full fuller fullest free used left
    """
)
"""Words that say nothing by themselves that could be a lie, or that the rules of numbers and verdicts look at."""

NEGATION = re.compile(
    r"\b(?:not|cannot)\b(?! (?:be )?(?:healthy|well|ok|fine|good|fresh|valid|reachable|reached|read|found|complete"
    r"|renewed|upgraded|known|enough|seen|looked at|answer)\b)(?: [\w./-]+){0,2}"
)
"""What turns a true word into its opposite; not what only says once more that something is wrong."""

EARLIER = re.compile(r"\b(?:before|previous(?:ly)?|last week|a week ago|earlier|prior|up from|down from|than)\b")

PRAISE = re.compile(
    r"\b(?<!not )(?:healthy|success|successful(?:ly)?|perfect(?:ly)?|flawless(?:ly)?|smooth(?:ly)?|excellent|great"
    r"|wonderful|fantastic|clean(?:ly)?|stable|fine|ok|okay|safe(?:ly)?|secure|(?<!as )well|good|complete(?:d|ly)?"
    r"|(?<!checks )passed|(?<!certificates )valid|(?<!alerts )healed"
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
