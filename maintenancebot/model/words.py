"""The words for states, reasons and actions: closed lists, the same in report, log, metric and audit log."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class State(StrEnum):
    """The state of a change, task, host or run; `unknown` is never success."""

    PLANNED = "planned"  # a dry run: would be done
    DONE = "done"  # measured afterwards
    NOTHING = "nothing"  # looked, and there is nothing to do
    SKIPPED = "skipped"  # left alone on purpose, see the reason
    WAITING = "waiting"  # for a person's approval
    FAILED = "failed"  # tried, or checked, and it is bad
    UNKNOWN = "unknown"  # could not find out


_SEVERITY = (State.NOTHING, State.DONE, State.PLANNED, State.SKIPPED, State.WAITING, State.UNKNOWN, State.FAILED)


def worst(states: Sequence[State]) -> State:
    """The state that decides a headline: the worst of the parts, `nothing` when there are none."""
    return max(states, key=_SEVERITY.index, default=State.NOTHING)


class Reason(StrEnum):
    """Why a state is what it is; the same word in report, log, metric and audit log."""

    # fine
    NONE = ""  # the state says it all
    VERIFIED = "verified"  # the effect was measured afterwards
    UP_TO_DATE = "up_to_date"  # nothing is due
    NO_MATCH = "no_match"  # no object matches
    NOT_INSTALLED = "not_installed"  # the software this task is about is not on the host
    FRESH = "fresh"  # a backup check passed
    VALID = "valid"  # a certificate check passed
    ALREADY_GONE = "already_gone"  # somebody else removed it; neither our success nor our bytes

    # guards: no from the gate
    STOPPED = "stopped"  # kill switch
    AUDIT_UNWRITABLE = "audit_unwritable"
    OUTSIDE_WINDOW = "outside_window"
    FREEZE = "freeze"
    INVENTORY_STALE = "inventory_stale"  # the list that names the host was last read too long ago
    MAINTENANCE = "maintenance"  # the host is flagged: hands off
    OBSERVE_ONLY = "observe_only"  # autonomy is `observe`
    NEEDS_APPROVAL = "needs_approval"
    BREAKER_OPEN = "breaker_open"
    BUDGET_SPENT = "budget_spent"
    BLAST_RADIUS = "blast_radius"  # more files, bytes or share of a tree or of the fleet than allowed
    NOT_ALLOWED = "not_allowed"  # outside the allowlist
    PROTECTED = "protected"  # a protected path, pattern, package or label
    MACHINE_CHANGED = "machine_changed"  # another machine answers at this address
    CLOCK_SKEW = "clock_skew"  # host and controller clocks differ too much for work that depends on age
    PLAN_EXPIRED = "plan_expired"
    PLAN_CHANGED = "plan_changed"  # the digest does not fit the content
    CRITICAL_ALERT = "critical_alert"  # a critical alert about the host is open, so that it is not rebooted
    INTERRUPTED = "interrupted"  # the operator or a signal ended the run before this change

    # the host as a whole
    UNREACHABLE = "unreachable"  # no connection: refused, no route, name unknown
    CONNECT_TIMEOUT = "connect_timeout"
    HOST_KEY_UNKNOWN = "host_key_unknown"
    HOST_KEY_CHANGED = "host_key_changed"
    LOGIN_REFUSED = "login_refused"  # keys refused, account expired or locked
    BECOME_PASSWORD = "become_password"  # noqa: S105  sudo wants a password
    BECOME_REFUSED = "become_refused"  # sudo does not allow it
    BECOME_TTY = "become_tty"  # sudo wants a terminal
    BECOME_MISSING = "become_missing"  # no sudo on the host
    UNSUPPORTED = "unsupported"  # python3 missing, too old or without needed modules; a shell that runs nothing
    HUNG = "hung"  # connected, then silent past the idle limit
    DEADLINE = "deadline"  # the host's own deadline passed
    LINK_LOST = "link_lost"  # the connection or the helper ended before the end of the answer
    GARBLED = "garbled"  # frames out of order, damaged, or more output than the cap
    BUSY = "busy"  # another piece of work holds the host's lock, or apt's, or certbot's
    SAME_MACHINE = "same_machine"  # another inventory name of a machine that is already in this run
    HELPER_ERROR = "helper_error"  # a fault of ours on the host
    INTERNAL_ERROR = "internal_error"  # a fault of ours on the controller

    # a task on a host
    NEEDS_ROOT = "needs_root"
    NOT_CONFIGURED = "not_configured"  # the task has nothing to look at
    NOT_SELECTED = "not_selected"  # the task is not for this host
    LACKS = "lacks"  # the host lacks a module or tool for this task
    TOOL_FAILED = "tool_failed"  # a tool on the host failed or answered what we cannot read
    TIMEOUT = "timeout"  # a tool did not end in time
    NOT_RESPONDING = "not_responding"  # a service on the host does not answer

    # objects
    CHANGED_SINCE = "changed_since"  # not the object that the plan names any more
    VANISHED = "vanished"
    IN_USE = "in_use"  # open, mapped, or used by a container, a compose file, ...
    USE_UNKNOWN = "use_unknown"  # who uses it cannot be seen
    LOCKED = "locked"  # a file lock is held
    HARD_LINKED = "hard_linked"
    SYMLINK = "symlink"
    SPECIAL = "special"  # neither a regular file nor a link
    IMMUTABLE = "immutable"  # or append-only
    OTHER_FILE_SYSTEM = "other_file_system"  # below a mount point
    TOO_YOUNG = "too_young"
    TIME_IMPLAUSIBLE = "time_implausible"  # 1970 or the future
    LOGROTATE_MANAGED = "logrotate_managed"
    OWN_FILE = "own_file"  # ours: trash, state
    RESTORED = "restored"  # restored from trash a short while ago
    TARGET_EXISTS = "target_exists"
    NAME_TOO_LONG = "name_too_long"  # no room for .gz behind it
    UNREADABLE = "unreadable"
    NO_SPACE = "no_space"
    READ_ONLY = "read_only"
    COMPRESS_MISMATCH = "compress_mismatch"  # the compressed copy does not give the same bytes back
    WRITE_ERROR = "write_error"
    TARGET_MET = "target_met"  # enough is free already, so this was not needed any more
    NOT_ENOUGH = "not_enough"  # what may be freed does not reach the target
    NO_EFFECT = "no_effect"  # done, and the measure shows nothing of it
    OFFLOAD_FAILED = "offload_failed"  # the object store refused it, or does not hold what was sent
    NEEDS_RELOAD = "needs_reload"  # whoever uses it goes on with the old one, and nothing is configured that ends this
    OVER_CAP = "over_cap"  # found more than the plan may list
    AGE_UNKNOWN = "age_unknown"
    SEEN_TOO_SELDOM = "seen_too_seldom"  # unused at fewer looks than the task asks for
    NOT_PULLABLE = "not_pullable"  # no registry gives this image back
    KEPT = "kept"  # named by a keep list or rule

    # packages
    HELD = "held"
    PINNED = "pinned"
    PHASED = "phased"
    BLOCKED = "blocked"  # by a dependency
    WOULD_REMOVE = "would_remove"
    WOULD_DOWNGRADE = "would_downgrade"
    FOREIGN_ORIGIN = "foreign_origin"
    PACKAGES_BROKEN = "packages_broken"  # dpkg --audit is not clean
    LISTS_MISSING = "lists_missing"  # no package lists on the host
    LISTS_FAILED = "lists_failed"  # a repository could not be renewed
    NO_ERRATA = "no_errata"  # the repositories do not say which updates are security fixes
    KNOWN_BAD = "known_bad"  # this version failed here before; a newer one, or a person, is needed
    UNHEALTHY = "unhealthy"  # a service, container or check that was well before is not well any more
    ROLLED_BACK = "rolled_back"  # the check failed, and the old versions are installed again
    ROLLBACK_FAILED = "rollback_failed"  # the check failed, and not all old versions are back
    WAVE_STOPPED = "wave_stopped"  # earlier hosts failed; this one was left untouched
    QUORUM = "quorum"  # another host of its quorum group failed or is down
    NOT_BACK = "not_back"  # the host did not come back from its reboot in time
    VERSION_DIFFERS = "version_differs"  # installed afterwards: not the planned version

    # backups
    MISSING = "missing"
    STALE = "stale"
    FUTURE_DATED = "future_dated"
    EMPTY = "empty"
    TOO_SMALL = "too_small"
    DAMAGED = "damaged"
    INCOMPLETE = "incomplete"  # a part of it is missing: holes, a checkpoint, an upload that never ended
    IMPLAUSIBLE = "implausible"  # far from the median of its own history
    WRONG_HOST = "wrong_host"  # only another host's backups are there
    WRONG_CONTENT = "wrong_content"  # not what must be in it
    ARCHIVED = "archived"  # in a storage class that cannot be read now
    CREDENTIALS = "credentials"  # refused, expired or missing
    RESTORE_FAILED = "restore_failed"  # a trial restore did not give it back
    BEING_WRITTEN = "being_written"

    # certificates
    EXPIRING = "expiring"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    SERVED_DIFFERS = "served_differs"  # the port serves another certificate than the file
    KEY_MISMATCH = "key_mismatch"
    CHAIN_BROKEN = "chain_broken"
    NOT_DUE = "not_due"  # the renewing tool says that it is not due yet
    UNTRUSTED = "untrusted"  # its chain does not lead to an authority that the host trusts
    NAME_MISMATCH = "name_mismatch"  # not for the name under which it is served
    CONFIG_INVALID = "config_invalid"  # the server's configuration would not load
    BACKING_OFF = "backing_off"  # tried and failed a short while ago
    RENEWAL_FAILED = "renewal_failed"

    # drift
    AS_DECLARED = "as_declared"
    BASELINE_INVALID = "baseline_invalid"  # what is declared cannot be worked out for this host
    DRIFTED = "drifted"  # not as declared, and nothing explains it
    EXPLAINED = "explained"  # not as declared, by a package, a change of ours or an allowance
    NOT_APPLICABLE = "not_applicable"  # declared for what this host does not have
    CONTESTED = "contested"  # corrected before, and somebody else has put the other value back
    REVERTED = "reverted"  # it went wrong, or no new login worked: the old state is back
    REVERT_FAILED = "revert_failed"  # it went wrong, and the old state is not back

    # alerts
    UNKNOWN_HOST = "unknown_host"  # the alert names no host of the inventory
    UNKNOWN_MOUNT = "unknown_mount"  # the alert names no mount point of the host
    NO_RULE = "no_rule"  # no rule heals this kind of alert
    RESOLVED = "resolved"  # the alert says that it is over
    SAME_EPISODE = "same_episode"  # a repetition of an alert whose episode is open or just closed
    COOLDOWN = "cooldown"  # healed a short while ago
    CAP_REACHED = "cap_reached"  # healed as often as host or rule may be in this time
    FLAPPING = "flapping"  # comes and goes
    ESCALATED = "escalated"  # given to a person
    OBSERVED = "observed"  # gone when it was measured

    # schedule and locks
    MISSED = "missed"  # the slot passed while nobody could run it
    FENCED = "fenced"  # another process has taken over this host's work

    # restarts of ours
    UNFINISHED = "unfinished"  # intended, but no outcome was recorded; found by the next start
    NOT_STARTED = "not_started"  # intended, and found untouched


GUARD_REASONS = frozenset(
    {
        Reason.STOPPED,
        Reason.AUDIT_UNWRITABLE,
        Reason.OUTSIDE_WINDOW,
        Reason.FREEZE,
        Reason.NEEDS_APPROVAL,
        Reason.BREAKER_OPEN,
        Reason.BUDGET_SPENT,
        Reason.BLAST_RADIUS,
        Reason.NOT_ALLOWED,
        Reason.MACHINE_CHANGED,
        Reason.CLOCK_SKEW,
        Reason.PLAN_EXPIRED,
        Reason.PLAN_CHANGED,
        Reason.INTERRUPTED,
        Reason.WAVE_STOPPED,
        Reason.QUORUM,
        Reason.FENCED,
        Reason.CRITICAL_ALERT,
        Reason.INVENTORY_STALE,
    }
)
"""Reasons that make a run end with exit code 3: a guard refused what was wanted."""


class TaskType(StrEnum):
    """The kinds of task."""

    PACKAGE_UPDATE = "package_update"
    CLEANUP = "cleanup"
    DOCKER_PRUNE = "docker_prune"
    VERIFY = "verify"
    MONITOR = "monitor"
    DRIFT = "drift"  # made for a host from its baselines; no configuration lists it


class Action(StrEnum):
    """Everything that can be done to a host. There is no action that runs a given command."""

    REFRESH_PACKAGE_LISTS = "refresh_package_lists"
    UPGRADE_PACKAGE = "upgrade_package"
    REPAIR_PACKAGES = "repair_packages"  # finish what an interrupted dpkg left
    REBOOT_HOST = "reboot_host"
    COMPRESS_FILE = "compress_file"
    QUARANTINE_FILE = "quarantine_file"
    ROTATE_LOG = "rotate_log"
    RESTORE_FILE = "restore_file"
    RELOCATE_ITEM = "relocate_item"  # an item of the trash: compressed, to another file system, or to an object store
    PURGE_ITEM = "purge_item"
    DROP_PACKAGE_CACHE = "drop_package_cache"
    VACUUM_JOURNAL = "vacuum_journal"
    REMOVE_IMAGE = "remove_image"
    REMOVE_VOLUME = "remove_volume"
    REMOVE_CONTAINER = "remove_container"
    REMOVE_BUILD_CACHE = "remove_build_cache"
    RESTORE_VOLUME = "restore_volume"  # from the trash, under its old name
    RESTORE_IMAGE = "restore_image"
    TRY_RESTORE = "try_restore"  # a backup into a fresh folder, which goes again
    RENEW_CERTIFICATE = "renew_certificate"
    CORRECT_FILE = "correct_file"  # content, mode, owner, or that it is not there
    CORRECT_SERVICE = "correct_service"  # enabled, active, masked
    CORRECT_SYSCTL = "correct_sysctl"
    CORRECT_KEYS = "correct_keys"  # the authorized keys of a user
    CORRECT_CRONTAB = "correct_crontab"
    CORRECT_HOLD = "correct_hold"  # of a package


class Undo(StrEnum):
    """How a change is undone; `none` is announced before the change."""

    TRASH = "trash restore"  # the bytes lie in the host's trash
    PULL = "pull by digest"  # a registry gives the image back
    REFETCH = "fetched again"  # its owner makes it again when it needs it
    RENAME = "rename back"  # nothing was removed, it has another name
    DOWNGRADE = "downgrade"  # older version while a repository or cache has it; maintainer scripts do not downgrade
    SET_BACK = "set back"  # to the value that the report names
    NONE = "none"  # cannot be undone


class Risk(StrEnum):
    """What can go wrong if the change itself is right."""

    LOW = "low"  # undone by one command, nothing restarts
    MEDIUM = "medium"  # a service may restart, or undoing needs the network
    HIGH = "high"  # many services or a reboot depend on it, or it cannot be undone


class Level(StrEnum):
    """How far a backup was proven, from nothing to everything; each level holds all before it."""

    NONE = "none"  # not even its existence
    EXISTS = "exists"  # there is one
    FRESH = "fresh"  # it is young enough by the most pessimistic time
    COMPLETE = "complete"  # it was finished: nobody writes it, nothing of it is missing, its end is there
    PLAUSIBLE = "plausible"  # as large and as full as those before it
    READABLE = "readable"  # its data was read, to the end or in turns, and is what it should be
    RESTORED = "restored"  # it was restored into a fresh folder and compared


class Autonomy(StrEnum):
    """How much the bot may do by itself for a task on a group: the `approval` key."""

    OBSERVE = "observe"  # look only
    REQUIRED = "required"  # plan and wait for a person
    NOTIFY = "notify"  # do it, and say so at once
    AUTO = "auto"  # do it, and say so in the report
