"""Replaces what looks like a secret. The one module of the helper that the controller uses too: one set of rules.

Time grows with the length of the text alone: each rule begins with a fixed word, and each repeat has a limit.
A rule in doubt hides: a lost word of a log can be looked up on its host, a leaked password cannot be taken back.
"""

import re

from . import randomness

MASK = "[redacted]"

# No rule fits such a word or time, and most of what is logged is one.
_PLAIN = re.compile(r"(?:[a-z0-9_]{0,15}|[0-9][0-9TZ:.+-]{0,32}(?:-[0-9a-f]{6})?)$")


def redact(text):
    """The text with every secret replaced."""
    if _PLAIN.match(text):
        return text
    text = _without_private_keys(text)
    for shape, wanted in SHAPES:
        text = shape.sub(wanted, text)
    return randomness.RANDOM.sub(_unless_it_is_public, _without_named_values(text))


# Private keys, whole or cut off at either end, in their own lines, in one line of JSON, or behind the marks of a diff.

_KEY_MARK = re.compile(r"-{2,5} ?(BEGIN|END) (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)? ?-{0,5}")
_KEY_BODY = re.compile(
    r"(?:[ \t+>|\"'-]{0,16}(?:[A-Za-z-]{1,20}: [^\n]{0,200}|[A-Za-z0-9+/=\\]{0,4096})[\",' \t\r]{0,8}(?:\n|$)){1,2000}"
)
_LINE_OF_KEY = re.compile(r"[ \t+>|\"'-]{0,16}[A-Za-z0-9+/=]{16,4096}[\",' \t\r]{0,8}$")
_LAST_LINE_OF_KEY = re.compile(r"[ \t+>|\"'-]{0,16}[A-Za-z0-9+/=]{1,4096}[\",' \t\r]{0,8}$")
_LONGEST_KEY = 32768


def _without_private_keys(text):
    marks = list(_KEY_MARK.finditer(text))
    parts, done = [], 0
    for position, mark in enumerate(marks):
        if mark.start() < done:
            continue
        if mark.group(1) == "END":
            start, end = _start_of_tail(text, done, mark.start()), mark.end()
        else:
            following = marks[position + 1] if position + 1 < len(marks) else None
            start, end = mark.start(), _end_of_key(text, mark.end(), following)
        parts += [text[done:start], MASK]
        done = end
    return "".join(parts) + text[done:]


def _end_of_key(text, after, following):
    if following and following.group(1) == "END" and following.start() - after <= _LONGEST_KEY:
        return following.end()
    limit = following.start() if following else len(text)
    body = _KEY_BODY.match(text, after, min(limit, after + _LONGEST_KEY))
    return body.end() - body.group().endswith("\n") if body else after


def _start_of_tail(text, done, end):
    """Where the lines of a key begin whose first line was cut off."""
    start = text.rfind("\n", done, end) + 1 or done
    if text[start:end].strip(" \t+>|\"'-"):
        return end
    shape = _LAST_LINE_OF_KEY
    while start > done:
        line = text.rfind("\n", done, start - 1) + 1 or done
        if not shape.match(text[line : start - 1]):
            break
        start, shape = line, _LINE_OF_KEY
    return start


# What shows by its own shape. Each is a pattern and what stands in its place.

_VENDORS = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    r"gh[opusr]_[A-Za-z0-9]{16,255}",
    r"github_pat_[A-Za-z0-9_]{20,255}",
    r"gl(?:pat|dt|rt|ptt|ft|soat|cbt)-[A-Za-z0-9_.-]{16,255}",
    r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,255}",
    r"xapp-[A-Za-z0-9-]{10,255}",
    r"sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{16,255}",
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,255}",
    r"whsec_[A-Za-z0-9+/=]{16,255}",
    r"AIza[A-Za-z0-9_-]{30,40}",
    r"ya29\.[A-Za-z0-9_-]{16,512}",
    r"GOCSPX-[A-Za-z0-9_-]{16,64}",
    r"SG\.[A-Za-z0-9_-]{10,64}\.[A-Za-z0-9_-]{10,128}",
    r"key-[0-9a-f]{32}",
    r"(?:npm|hf|gsk|nvapi|rubygems|shp(?:at|ca|pa|ss))_[A-Za-z0-9]{20,255}",
    r"nvapi-[A-Za-z0-9_-]{20,255}",
    r"pypi-AgE[A-Za-z0-9_-]{16,512}",
    r"do[opr]_v1_[a-f0-9]{32,128}",
    r"hv[sbr]\.[A-Za-z0-9_-]{20,255}",
    r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,255}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{20,128}",
    r"tskey-[A-Za-z0-9-]{16,128}",
    r"sntry[su]_[A-Za-z0-9+/=_-]{16,512}",
    r"dapi[0-9a-f]{32}",
    r"ATATT3[A-Za-z0-9_=-]{20,512}",
    r"NRAK-[A-Z0-9]{20,64}",
    r"PMAK-[A-Za-z0-9-]{20,128}",
    r"SK[0-9a-f]{32}",
    r"[0-9]{8,10}:AA[A-Za-z0-9_-]{30,40}",
    r"eyJ[A-Za-z0-9_-]{5,8192}\.[A-Za-z0-9_-]{2,8192}(?:\.[A-Za-z0-9_-]{0,8192}){0,3}",
    r"[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
)

_HASHES = (
    r"\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|md5|apr1|scrypt|argon2(?:id|i|d)|pbkdf2(?:-sha[0-9]{1,3})?)\$[^\s:\"',;]{8,512}",
    r"\{(?:SSHA|SHA|SMD5|MD5|CRYPT|SSHA256|SSHA512|PBKDF2[-A-Z0-9]{0,10})\}[A-Za-z0-9+/=$.]{8,512}",
    r"SCRAM-SHA-(?:1|256|512)\$[0-9]{1,8}:[A-Za-z0-9+/=$:]{16,512}",
    r"\*[0-9A-F]{40}(?![0-9A-Fa-f])",
    r"(?<![A-Za-z0-9])md5[0-9a-f]{32}(?![0-9A-Za-z])",
)


def _shape(pattern, wanted=MASK, flags=0):
    return re.compile(pattern, flags), wanted


_ADDRESSES = (
    # Slack, Teams and Discord post to whoever has the address
    _shape(r"(hooks\.slack(?:-gov)?\.com/)[a-z]{1,12}/[A-Za-z0-9/_-]{8,256}", r"\1" + MASK, re.I),
    _shape(r"(discord(?:app)?\.com/api/webhooks/)[A-Za-z0-9/_-]{8,256}", r"\1" + MASK, re.I),
    _shape(r"(webhook\.office\.com/)[^\s\"'<>]{8,512}", r"\1" + MASK, re.I),
    # the password may hold an @; a port and a path are no password
    _shape(r"(://[^\s/:@\"'<>]{0,256}:)(?![0-9]{1,5}/)[^\s/\"'<>]{1,512}@", r"\1" + MASK + "@"),
    _shape(r"(://[^\s/:@\"'<>]{0,256}:)(?![0-9]{1,5}(?:/|$)|\[redacted\])[^\s@\"'<>]{1,512}@", r"\1" + MASK + "@"),
    _shape(r"://[A-Za-z0-9_.~%+-]{20,512}@", "://" + MASK + "@"),
    _shape(
        r"([?&;](?:sig|signature|X-Amz-(?:Signature|Credential|Security-Token)|code|key|auth)=)[^\s&\"'<>]{6,2048}",
        r"\1" + MASK,
        re.I,
    ),
)

_COMMANDS = (
    _shape(
        r"((?:mysql|mariadb|mysqldump|mysqladmin|sshpass|smbclient)[^\n|;&]{0,100}? -p ?)"
        r"(?!\[redacted\])[^\s-]\S{0,255}",
        r"\1" + MASK,
    ),
    _shape(r"((?:^|(?<=\s))-p)(?=\S{0,64}[0-9])(?=\S{0,64}[A-Z])(?=\S{0,64}[a-z])[^\s/-]\S{5,255}", r"\1" + MASK, re.M),
    _shape(r"((?:^|(?<=\s))(?:-u|--user|--proxy-user)[ =]?['\"]?[^\s:'\"]{1,64}:)[^\s'\"]{1,255}", r"\1" + MASK, re.M),
    _shape(r"((?:-passin|-passout|-pass|-k)[ =](?:pass:)?)(?!(?:file|env|fd|stdin)\b)[^\s]{4,255}", r"\1" + MASK),
    _shape(
        r"([\"' ][a-z_][a-z0-9_-]{0,31}:)[^\s\"'|]{1,128}(?=[\"']?\s{0,4}\|\s{0,4}(?:sudo )?chpasswd)", r"\1" + MASK
    ),
    _shape(
        r"(IDENTIFIED (?:WITH \S{1,64} )?(?:BY|AS)(?: PASSWORD)?\s{1,8})"
        r"(?:'[^'\n]{0,512}'?|\"[^\"\n]{0,512}\"?|[^\s;]{1,512})",
        r"\1" + MASK,
        re.I,
    ),
    _shape(r"(PASSWORD\s{1,8})'[^'\n]{1,512}'?", r"\1" + MASK, re.I),
)

_LINES = (
    # shadow: a hash of the old kind has no mark of its own
    _shape(r"^([ +-]?[a-z_][a-z0-9_.-]{0,31}\$?:!{0,2})[A-Za-z0-9./]{13}(?=:[0-9]{0,8}:)", r"\1" + MASK, re.M),
    # pgpass: host:port:database:user:password
    _shape(
        r"^([ +-]?[^\s:]{1,255}:(?:[0-9]{2,5}|\*):[^\s:]{1,64}:[^\s:]{1,64}:)(?:[^\s:\\]|\\.){1,255}$",
        r"\1" + MASK,
        re.M,
    ),
    _shape(
        r"((?:authorization|set-cookie|cookie)[\"']?\s{0,4}[:=]\s{0,4}[\"']?)(?!\s|\[redacted\])[^\n\"']{3,8192}",
        r"\1" + MASK,
        re.I,
    ),
    _shape(
        r"((?<![A-Za-z])(?:bearer|basic|negotiate)\s{1,4})(?=[A-Za-z+/_.~=-]{0,64}[0-9=])[A-Za-z0-9+/_.~=-]{8,8192}",
        r"\1" + MASK,
        re.I,
    ),
    # words that are followed by nothing but blanks
    _shape(
        r"((?:ENV|ARG|setenv)[ \t]{1,8}[A-Z_]{0,40}(?:PASSWORD|PASSWD|PASS|SECRET|TOKEN|KEY)"
        r"[A-Z_]{0,20}[ \t]{1,8})\S{1,512}",
        r"\1" + MASK,
    ),
    _shape(r"((?:sqlplus|expdp|impdp|rman)[ \t][^\n/]{0,64}/)[^\s@]{1,64}", r"\1" + MASK),
    _shape(
        r"((?<![A-Za-z])(?:requirepass|masterauth|bindpw|rootpw|rocommunity6?|rwcommunity6?|rpcpassword)[ \t]{1,16})"
        r"[^\s#]\S{0,512}",
        r"\1" + MASK,
        re.M,
    ),
    _shape(
        r"((?:login|user|account|machine|default)[ \t]{1,8}\S{0,255}[ \t]{1,8}(?:password|passwd)[ \t]{1,8})\S{1,512}",
        r"\1" + MASK,
    ),
    _shape(
        r"(--[a-z-]{0,24}(?:password|passwd|passphrase|pass|secret|token|api-key|apikey|access-key|secret-key)"
        r"[ \t]{1,4})(?!-)(?:\"[^\"\n]{0,512}\"?|'[^'\n]{0,512}'?|\S{1,512})",
        r"\1" + MASK,
    ),
    _shape(
        r"(^[ \t+-]{0,32}(?:password|passphrase|secret|token)[ \t]{1,16})"
        r"(?=\S{0,64}[0-9!@#$%^&*])[^\s\[\"'=:]\S{5,255}[ \t]{0,8}$",
        r"\1" + MASK,
        re.M,
    ),
)

SHAPES = (
    *_ADDRESSES,
    _shape(r"(?<![A-Za-z0-9])(?:" + "|".join(_VENDORS) + ")"),
    _shape("|".join(_HASHES)),
    *_COMMANDS,
    *_LINES,
)


# What shows by its name: `db_password = x`, `"apiKey": "x"`, `<secret>x</secret>`.

_NAME = re.compile(
    r"(?:(?<![a-z])(?:pass|pw|psk|dsn)(?![a-z])|(?<!/etc/)(?<!/bin/)passw(?:or)?d|passwort|passphrase|passcode|pwd|secret(?!ar)|token(?!iz)"
    r"|(?:api|access|private|encryption|encrypt|signing|auth|account|shared|master|session|storage|deploy|hmac|jwt|client"
    r"|service|app)[_. -]?key|(?<!load)(?<!loadencrypted)(?<!import)credentials?|(?<=[\"_])auth(?![a-z]))"
    r"([a-z0-9_.\[\]-]{0,48})"
    r"\\{0,3}[\"']?(?:[ \t](?:for|of)[ \t]\S{1,64})?(?:[ \t]{0,16}(?:=>|:=|==?|:)[ \t]{0,16}|>"
    r"|[\"']?[ \t]{1,4}value[ \t]{0,4}=[ \t]{0,4}"
    r"|,[ \t]{0,4}(?=[\"'])|[ \t]{0,8}\n[ \t+-]{1,40}value:[ \t]{0,8})",
    re.I,
)
# A name that tells about a secret, or where it is: password_file, tokenExpiry, systemd-ask-password.service.
_ABOUT = re.compile(
    r"(?:^s?[_.-]?|[_.-])(?:files?|path|dir|directory|names?|id|ids|expir[a-z]{0,5}|ttl|timeout|lifetime|age|days|length"
    r"|len|min|max|policy|count|limit|types?|kind|urls?|uri|endpoint|per|authentication|prompt|command|hint|changed"
    r"|required|enabled|algorithm|ref|arn|version|service|socket|timer|target|conf|so|py|txt|log|gz|db|deb|rpm|d)(?:$|[_.-])",
    re.I,
)
_ABOUT_IN_CAMELS = re.compile(
    r"(?:File|Path|Dir|Name|I[dD]|Expir[a-z]{0,5}|Ttl|TTL|Timeout|Length|Policy|Count|Limit|Type|Ur[li]|UR[LI]|Authentication|Ref)s?$"
)
_NO_SECRET = re.compile(
    r"(?:yes|no|on|off|true|false|none|null|nil|undefined|empty|unset|set|ok|prohibit-password|without-password|chauthtok"
    r"|str|string|bytes|int|bool|amd64|arm64|i386|all|any)[,;.):]{0,2}(?=[ =]|$)"
    r"|(?:expired|invalid|valid|required|requisite|optional|sufficient|missing|wrong|changed|unchanged|unknown|incorrect|accepted"
    r"|rejected|failed|files|compat|sss|systemd|ldap|nis|winbind)(?=[\s,;.:)]|$)"
    r"|[*x.]{3,64}$|\$\{?[A-Za-z_][A-Za-z0-9_:.-]{0,64}\}?$|\$[({]|\{\{|\{%|\{\}?$|\[\]?$|%[({]|<[a-z_ -]{1,40}>$"
    r"|(?:env|file|vault|arn|ref)[:(]|!(?:vault|secret|env|ref|sub)\b|[|>][+-]?$|\(\)?$|-?[0-9]{0,3}$",
    re.I,
)
_PLACE = re.compile(
    r"(?:~?(?:/[a-z0-9._@-]{1,64}){1,16}/?|\.{1,2}/\S{1,200}|/(?:home|root|etc|run|var|opt|usr|srv|tmp|mnt|data)/\S{1,200})(?:[\s;]|$)"
)
_VERSION = re.compile(
    r"(?:[0-9]{1,3}:)?[0-9]{1,8}(?:\.[0-9]{1,8}){1,5}(?:[+~.-][A-Za-z0-9+~.-]{0,64})?$|[0-9]{1,3}:[0-9][A-Za-z0-9+~.-]{0,64}$"
)
_QUOTED = re.compile(r"(\\{0,3})([\"'`])")
_WORD = re.compile(r"[^\s\"'<>]{1,8192}")
_REST = re.compile(r"[^\n]{1,8192}")
_BLOCK = re.compile(r"[|>][+-]?[ \t]*\n((?:[ +-]?[ \t]{2,40}[^\n]{1,8192}(?:\n|$)){1,200})")
_LINE_START = re.compile(r"[ \t+-]{0,40}(?:export |set |ENV |- )?[A-Za-z0-9_.-]{0,64}$")


def _without_named_values(text):
    parts, done, at = [], 0, 0
    while True:
        name = _NAME.search(text, at)
        if not name:
            return "".join(parts) + text[done:]
        start, end = _value(text, name)
        at = name.end()
        if start < end and not _is_harmless(name, text[start:end]):
            parts += [text[done:start], MASK]
            done = at = end


def _value(text, name):
    """Where the value of a name begins and ends."""
    start = name.end()
    block = _BLOCK.match(text, start)
    if block:
        return block.start(1), block.end(1) - block.group(1).endswith("\n")
    quote = _QUOTED.match(text, start)
    if quote:
        return quote.end(), _end_of_quoted(text, quote)
    if name.group().endswith(">") and not name.group().endswith("=>"):
        return start, max(start, text.find("<", start, start + 4096))
    if text[start : start + 1] == "[" and not text.startswith(MASK, start):
        return start + 1, _end_of_list(text, start + 1)
    line = text.rfind("\n", max(0, name.start() - 128), name.start()) + 1
    whole = _LINE_START.match(text, line, name.start()) and (line or name.start() < 128)
    value = (_REST if whole and text[name.end() - 1] in " \t:=" else _WORD).match(text, start)
    return (start, _without_end_marks(text, start, value.end())) if value else (start, start)


def _end_of_line(text, start):
    end = text.find("\n", start, start + 8192)
    return min(start + 8192, len(text)) if end < 0 else end


def _end_of_list(text, start):
    limit = _end_of_line(text, start)
    end = text.find("]", start, limit)
    while end >= 0 and text.endswith(MASK, start, end + 1):
        end = text.find("]", end + 1, limit)
    return limit if end < 0 else end


def _end_of_quoted(text, quote):
    """The quote that closes: the same one, with as many backslashes before it; else the end of the line."""
    limit = _end_of_line(text, quote.end())
    at = quote.end() - 1
    while True:
        at = text.find(quote.group(2), at + 1, limit)
        if at < 0:
            return limit
        slashes = 0
        while at - slashes > quote.end() and text[at - slashes - 1] == "\\":
            slashes += 1
        if slashes <= len(quote.group(1)):
            return at - slashes


def _without_end_marks(text, start, end):
    while end > start and text[end - 1] in " \t\r,;)]}" and not text.endswith(MASK, start, end):
        end -= 1
    return end


def _is_harmless(name, value):
    suffix = name.group(1)
    if value == MASK or _ABOUT.search(suffix) or _ABOUT_IN_CAMELS.search(suffix):
        return True
    if suffix[:1].lower() == "s" and re.match(r"[0-9._]{1,20}\b", value):
        return True  # tokens: 1024
    return bool(_NO_SECRET.match(value) or _PLACE.match(value) or _VERSION.match(value))


_PUBLIC_KEYS = ("AAAA", "SHA256", "sha256-", "sha384-", "sha512-", "/")


def _unless_it_is_public(found):
    """Keys that are public begin alike, and fingerprints say what they are."""
    word = found.group()
    before = found.string[max(0, found.start() - 8) : found.start()]
    if word.startswith(_PUBLIC_KEYS) or before.upper().endswith(("SHA256:", "SHA512:", "MD5:")):
        return word
    return MASK if randomness.is_random(word) else word
