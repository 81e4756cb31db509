"""A configuration loads as a whole or is refused with every fault, its place and what to write instead."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from maintenancebot.errors import ConfigurationError, Fault
from maintenancebot.model import Autonomy, TaskType
from maintenancebot.settings import (
    BUNDLED,
    CleanupTask,
    DockerPruneTask,
    MonitorTask,
    PackageUpdateTask,
    Settings,
    VerifyTask,
    json_schema,
    load_settings,
    paths,
)
from maintenancebot.settings.environment import names
from maintenancebot.settings.faults import _models
from maintenancebot.settings.refused import RefusedError

ROOT = Path(__file__).parents[2]

FIVE_TASKS = """\
name: MaintenanceBot
schedule: "0 3 * * 0"              # Sunday 03:00, standard cron
tasks:
  - {name: security_patches, type: package_update, scope: security_only, approval: auto, rollback_on_failure: true}
  - {name: log_rotation, type: cleanup, patterns: [{path: "/var/log/**/*.*.log", retention_days: 30, compress: true}]}
  - {name: docker_cleanup, type: docker_prune, remove_unused_images: true, remove_dangling_volumes: true, min_age_hours: 48}
  - {name: backup_verification, type: verify, check: "backup_completed_within_24h", alert_on_failure: true}
  - {name: certificate_check, type: monitor, check: "certificate_expiry_days > 30", alert_threshold: 30, auto_renew: true}
"""  # noqa: E501  as users write it
TASK = "tasks: [{name: patches, type: package_update, scope: all}]\n"


def load(text: str | bytes, tmp_path: Path, environ: dict[str, str] | None = None) -> Settings:
    file = tmp_path / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(file, environ or {})


def outcome(text: str, tmp_path: Path) -> list[Fault] | None:
    """The faults of a text, None when it loads; any other exception is a bug."""
    try:
        load(text, tmp_path)
    except ConfigurationError as error:
        return error.faults
    return None


def faults(text: str | bytes, tmp_path: Path, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(text, tmp_path, environ)
    return [str(fault).replace(f"{tmp_path}/", "") for fault in caught.value.faults]


def cleanup(pattern: str, deletion: str = "{}") -> str:
    return f"deletion: {deletion}\ntasks:\n  - name: logs\n    type: cleanup\n    patterns: [{pattern}]\n"


def test_the_five_tasks_load_as_they_are(tmp_path):
    loaded = load(FIVE_TASKS, tmp_path)

    patches, logs, images, backups, certificates = loaded.tasks
    assert isinstance(patches, PackageUpdateTask)
    assert (patches.scope, patches.approval, patches.rollback_on_failure) == ("security_only", Autonomy.AUTO, True)
    assert isinstance(logs, CleanupTask)
    assert [(one.path, one.retention_days, one.compress) for one in logs.patterns] == [
        ("/var/log/**/*.*.log", 30, True)
    ]
    assert isinstance(images, DockerPruneTask)
    assert (images.remove_unused_images, images.remove_dangling_volumes, images.min_age_hours) == (True, True, 48)
    assert images.volumes == ()
    assert isinstance(backups, VerifyTask)
    assert (backups.max_age_hours, backups.alert_on_failure) == (24, True)
    assert isinstance(certificates, MonitorTask)
    assert (certificates.threshold_days, certificates.alert_threshold, certificates.auto_renew) == (30, 30, True)
    assert {task.type for task in loaded.tasks} == set(TaskType) - {TaskType.DRIFT}
    assert all(task.hosts == ("all",) for task in loaded.tasks)


def test_without_a_file_the_bundled_one_means_the_same_as_the_five_tasks(tmp_path):
    assert load_settings(None, {}).digest == load(FIVE_TASKS, tmp_path).digest


def test_the_bundled_files_are_the_documented_samples():
    assert (BUNDLED / "config.yaml").read_bytes() == (ROOT / "config" / "maintenancebot.yaml").read_bytes()
    assert (BUNDLED / "inventory.yaml").read_bytes() == (ROOT / "inventory" / "hosts.yaml").read_bytes()


def test_a_task_takes_hosts_and_approval_from_the_defaults_unless_it_says_its_own(tmp_path):
    loaded = load(
        """\
defaults: {hosts: [web, "!web-3"], approval: required}
tasks:
  - {name: a, type: package_update, scope: all}
  - {name: b, type: package_update, scope: all, hosts: [db], approval: observe}
""",
        tmp_path,
    )
    assert [(task.hosts, task.approval) for task in loaded.tasks] == [
        (("web", "!web-3"), Autonomy.REQUIRED),
        (("db",), Autonomy.OBSERVE),
    ]


def test_the_digest_follows_the_values_and_not_their_spelling(tmp_path):
    plain = load(TASK, tmp_path).digest
    assert load("# a comment\n" + TASK.replace("all", '"all"'), tmp_path).digest == plain
    assert load(TASK + "guards: {fleet_share: 0.5}\n", tmp_path).digest != plain


def test_sizes_are_numbers_or_texts_with_a_unit(tmp_path):
    assert load(TASK + 'deletion: {caps: {bytes: "2 GiB"}}', tmp_path).deletion.caps.bytes == 2 * 2**30
    assert load(TASK + "deletion: {caps: {bytes: 4096}}", tmp_path).deletion.caps.bytes == 4096


def test_values_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        load(TASK, tmp_path).guards.fleet_share = 0.1


def test_every_fault_of_a_file_is_told_at_once_in_its_order(tmp_path):
    assert faults(
        """\
schedul: "0 3 * * 0"
schedule: "0 25 * * 0"
timezone: Europe/Berln
window: {start: 22:00}
tasks:
  - {name: a, type: cleanup, patterns: [{path: "/var/log/*.log", retention_days: 0, comprss: yes}]}
  - {name: a, type: verfy}
guards: {fleet_share: 1.5}
guards: {fleet_share: 0.5}
""",
        tmp_path,
    ) == [
        "config.yaml:1:1: `schedul` is not known; did you mean `schedule`?",
        (
            "config.yaml:2:11: schedule: the field hour cannot be '25'; "
            "write *, a number from 0 to 23, a range such as 0-23, or a step such as */2"
        ),
        "config.yaml:3:11: timezone: the time zone 'Europe/Berln' is unknown; did you mean 'Europe/Berlin'?",
        (
            "config.yaml:4:17: `22:00` is read as a number to the base 60 by some readers; "
            'write "22:00" in quotes for the text'
        ),
        "config.yaml:6:82: tasks[0].patterns[0].retention_days: 0 is out of range; write a number of at least 1",
        "config.yaml:6:85: `comprss` is not known in `tasks[0].patterns[0]`; did you mean `compress`?",
        (
            "config.yaml:6:94: `yes` is read as true by some readers of YAML and as text by others; "
            'write "yes" in quotes for the text, or true'
        ),
        "config.yaml:7:5: tasks[1]: 'verfy' is not a type of task; did you mean `verify`?",
        "config.yaml:7:12: a second task `a`, the first is in line 6; give each its own name",
        "config.yaml:8:23: guards.fleet_share: 1.5 is out of range; write a number of at most 1",
        "config.yaml:9:1: `guards` is given twice, first in line 8; keep one of the two",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("name: no", '1:7: `no` is read as false by some readers of YAML and as text by others; write "no" in quotes'),
        ("name: 007", "1:7: `007` is read as an octal number by some readers"),
        ("name: 2026-11-21", "1:7: `2026-11-21` is read as a date"),
        ("name: 0x1f", "1:7: `0x1f` is read as a number"),
        ("name: 1_000", "1:7: `1_000` is read as a number"),
        ("name: 12", '1:7: name: 12 is not a text; write "12" in quotes'),
        ("name: true", '1:7: name: true is not a text; write "true" in quotes'),
        ("name:", "1:6: name: there is no value; write one, or remove the key"),
        ("name: ~", "1:7: name: there is no value"),
        ('name: ""', "1:7: name: the text is empty"),
        ("name: [a]", "1:7: name: a list is not a text"),
        ("name: !!str 5", "1:7: the tag !!str is not understood here; remove it"),
        ("name: &here x", "1:7: the anchor &here is not understood here"),
        ("<<: {name: x}", "1:1: `<<` merges mappings, which is not understood here; write the keys out"),
        ("? [a]\n: b", "1:3: a key must be a plain word"),
        ("ssh: {agent: 'yes'}", "1:14: ssh.agent: 'yes' is not true or false; write true or false, without quotes"),
        ("ssh: {parallel: '32'}", "1:17: ssh.parallel: '32' is not a whole number; write a number without quotes"),
        ("ssh: {parallel: 1.5}", "1:17: ssh.parallel: 1.5 is not a whole number"),
        ("ssh: {keys: /root/key}", "1:13: ssh.keys: '/root/key' is not a list; write [\"/root/key\"]"),
        ("ssh: {known_hosts: file}", "1:20: ssh.known_hosts: 'file' is not an absolute path"),
        ("ssh: [1]", "1:6: ssh: a list is not a mapping; write keys and values below it"),
        ("guards: {fleet_share: .nan}", "1:23: `.nan` is not a number that can be used"),
        ("guards: {fleet_share: 9999999999999999999999}", "is a very long number"),
        ("guards: {fleet_share: 0}", "1:23: guards.fleet_share: 0 is out of range; write a number greater than 0"),
        ("defaults: {hosts: []}", "1:19: defaults.hosts: the list is empty"),
        ("defaults: {hosts: ['']}", "defaults.hosts[0]: '' selects nothing"),
        ("defaults: {hosts: ['!']}", "defaults.hosts[0]: '!' selects nothing"),
        ("defaults: {approval: never}", "'never' is not one of the choices; write 'observe', 'required', 'notify' or"),
        ("window: {start: '08:00', end: '08:00'}", "1:9: window: the window never opens"),
        ("window: {days: [Sunday]}", "window.days[0]: 'Sunday' is not one of the choices; write 'mon'"),
        ("freeze: [{start: '2026-12-24', end: '2026-02-30'}]", "'2026-02-30' is not a date"),
        ("freeze: [{start: '2026-12-24', end: '2026-12-20'}]", "the freeze ends 2026-12-20 before it starts"),
        ("timezone: Europe", "1:11: timezone: the time zone 'Europe' is unknown; did you mean"),
        ("timezone: ../../etc/passwd", "the time zone '../../etc/passwd' is unknown"),
        ("ssh: {password: x}", "1:7: `password` looks like a secret, and secrets do not belong into this file"),
        ("slack_bot_token: x", "$CREDENTIALS_DIRECTORY"),
        ("store: {url: 'postgresql://u:p@h/d'}", "store.url: a store in PostgreSQL is not available yet"),
        ("store: {url: 'mysql://u:p@h/d'}", "store.url: this is no URL of a store"),
        ("deletion: {trash: {s3: x}}", "`s3` is not known in `deletion.trash`; write one of: elsewhere, offload"),
        ("deletion: {keep_days: 5, min_days: 6}", "min_days 6 is more than keep_days 5; write at most keep_days"),
        ("deletion: {trash: {elsewhere: /tmp/trash}}", "'/tmp/trash' lies in /tmp, which others write or empty"),
        ("deletion: {trash: {elsewhere: /var/log/trash}}", "the trash '/var/log/trash' and the allowed tree"),
        ("deletion: {keep_days: 0}", "deletion.keep_days: 0 is out of range"),
        ("deletion: {caps: {share: -1}}", "deletion.caps.share: -1 is out of range"),
        ("deletion: {caps: {bytes: 5 GB}}", "'5 GB' is not a size; write bytes, or for instance \"50 GiB\""),
    ],
)
def test_a_surprising_or_dangerous_value_is_refused_with_what_to_write(tmp_path, line, told):
    found = faults(f"{line}\n{TASK}", tmp_path)
    assert [fault for fault in found if told in fault], found
    assert len(found) == 1


def test_a_secret_that_is_refused_is_not_repeated(tmp_path):
    for line in ("password: hunter2x", "store: {url: 'postgresql://bot:hunter2x@db/state'}"):
        assert "hunter2x" not in "".join(faults(f"{line}\n{TASK}", tmp_path))


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("name: x, type: verify, check: backup_completed_within_0h", 'write "backup_completed_within_24h"'),
        ("name: x, type: verify, check: 'rm -rf /'", "'rm -rf /' is no check of backups"),
        ("name: x, type: monitor, check: 'certificate_expiry_days < 30'", 'write "certificate_expiry_days > 30"'),
        (
            "name: x, type: monitor, check: 'certificate_expiry_days > 30', alert_threshold: 31",
            "alert_threshold 31 is more than the 30 days of the check; write at most 30",
        ),
        ("name: x, type: cleanup, patterns: []", "the task has nothing to look at; write patterns, package_cache"),
        (
            'name: x, type: cleanup, keep: elsewhere, patterns: [{path: "/var/log/*.log", retention_days: 9}]',
            "`keep: elsewhere` needs a place; write deletion.trash.elsewhere, or `keep: here`",
        ),
        (
            'name: x, type: cleanup, rotate: [{path: "/srv/app/*.log"}]',
            "lies outside deletion.allow; add /srv/app to deletion.allow",
        ),
        ("name: x, type: cleanup, journal: {}", "the journal has no limit here; write keep_days or keep_bytes"),
        ("name: x, type: package_update, scope: security", "write 'security_only' or 'all'"),
        ("name: x, type: package_update", "`scope` is missing in `tasks[0]`; add `scope: …`"),
        ("name: x", "tasks[0]: `type` is missing; add `type: …`, one of: package_update, cleanup"),
        ("name: 'a b', type: package_update, scope: all", "'a b' is not a name; write letters, digits"),
        ("name: x, type: package_update, scope: all, waves: {cap: 0}", "waves.cap: 0 is out of range"),
        ("name: x, type: package_update, scope: all, reboot: always", "write 'never', 'report' or 'when_required'"),
        (
            "name: x, type: package_update, scope: all, health: {tcp: [db]}",
            "'db' is not an address with a port; write it as",
        ),
        ("name: x, type: docker_prune, socket: docker.sock", "'docker.sock' is not an absolute path"),
        ("name: x, type: docker_prune, keep_newest: -1", "-1 is out of range"),
    ],
)
def test_a_task_that_cannot_be_meant_is_refused(tmp_path, task, told):
    found = faults(f"tasks:\n  - {{{task}}}\n", tmp_path)
    assert len(found) == 1
    assert told in found[0]
    assert found[0].startswith("config.yaml:2:")


def test_tasks_are_required(tmp_path):
    assert faults("name: x\n", tmp_path) == ["config.yaml:1:1: `tasks` is missing; add `tasks: …`"]
    assert faults("tasks: []\n", tmp_path)[0].startswith("config.yaml:1:8: tasks: the list is empty")


@pytest.mark.parametrize(
    "root",
    [
        *(
            "/",
            "/var",
            "/home",
            "/etc",
            "/etc/nginx",
            "/usr/local/share",
            "/proc/1",
            "/boot/grub",
            "/lib/systemd",
            "/run/x",
            "/var/lib",
        ),
        *(
            "/var/lib/dpkg/info",
            "/root/.ssh",
            "/var/run/app",
            "/var/lib/maintenancebot",
            "/var/lib/docker",
            "/a/.maintenancebot",
        ),
        *("/srv/../etc", "/srv//app", "/srv/./app", "srv/app", "/srv/*"),
        *("", "  ", " /srv/app", "/srv/app\n"),
    ],
)
def test_a_dangerous_tree_is_never_allowed(tmp_path, root):
    import json

    found = faults(TASK + f"deletion: {{allow: [{json.dumps(root)}]}}", tmp_path)
    assert len(found) == 1
    assert "deletion.allow[0]: " in found[0]


@pytest.mark.parametrize(
    "root", ["/srv/app", "/var/log", "/var/lib/app/cache", "/home/ops/logs", "/var/libexec", "/srv/app/"]
)
def test_a_harmless_tree_is_allowed(tmp_path, root):
    assert load(TASK + f"deletion: {{allow: [{root}]}}", tmp_path).deletion.allow == (root.rstrip("/"),)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/srv/app/*.log", "'/srv/app/*.log' lies outside deletion.allow; add /srv/app to deletion.allow"),
        ("/var/logs/*.log", "outside deletion.allow"),
        ("/var/*/x.log", "'/var/*/x.log' reaches all of /var"),
        ("/**/*.log", "reaches all of /"),
        ("*.log", "is not an absolute path"),
        ("/var/log/../*.log", "contains '.' or '..'"),
        ("/var/log/", "ends with a slash"),
        ("/var/log/**", "names folders only; patterns name files; write /**/*"),
        ("/var/log/**.log", "** stands for folders and must be a whole component"),
        ("/var/log/[a", "has a bracket that is not closed"),
        ("/var/log/[]", "has a bracket that is not closed, empty"),
        ("/var/log/[^a]", "write [ab], [a-z] or [!ab]"),
        ("/var/log/[z-a]", "has the range z-a the wrong way round; write a-z"),
        ("/var/log/{a,b}", "contains braces, which are not expanded"),
        ("/var/log/a\\*", "contains a backslash"),
        ("/usr/share/*.log", "reaches the system's own /usr"),
        ("", "the path is empty"),
    ],
)
def test_a_pattern_outside_the_grammar_or_the_allowed_trees_is_refused(tmp_path, path, told):
    found = faults(cleanup(f"{{path: '{path}', retention_days: 1}}"), tmp_path)
    assert len(found) == 1
    assert told in found[0]
    assert found[0].startswith("config.yaml:5:")


def test_a_pattern_may_lie_anywhere_below_an_allowed_tree(tmp_path):
    text = cleanup("{path: '/srv/app/[ab]/**/x?.lo*', retention_days: 1}", "{allow: [/srv/app]}")
    assert load(text, tmp_path).tasks[0].patterns[0].path == "/srv/app/[ab]/**/x?.lo*"


def test_a_tree_that_holds_one_of_the_systems_own_is_told(tmp_path):
    (found,) = faults(TASK + "deletion: {allow: [/var/lib]}", tmp_path)
    assert "'/var/lib' reaches the system's own /var/lib/apt" in found


def test_a_pattern_without_wildcards_names_a_file_in_an_allowed_tree_and_never_the_tree_itself(tmp_path):
    allowed = "{allow: [/srv/app/logs]}"
    load(cleanup("{path: /srv/app/logs/a.log, retention_days: 1}", allowed), tmp_path)
    (found,) = faults(cleanup("{path: /srv/app/logs, retention_days: 1}", allowed), tmp_path)
    assert "'/srv/app/logs' lies outside deletion.allow" in found


@given(st.lists(st.text(alphabet="abcxyz.-_ ", min_size=1, max_size=6), min_size=1, max_size=5))
def test_a_tree_that_is_accepted_is_clean_deep_enough_and_apart_from_the_system(names):
    text = "/" + "/".join(names)
    try:
        root = paths.allowed_root(text)
    except RefusedError:
        return
    parts = paths.components(root)
    assert root == text
    assert len(parts) >= 2
    assert not {"", ".", ".."} & set(parts)
    assert not paths.outside(f"{root}/x/*.log", [root])
    assert paths.outside(f"{root}-old/*.log", [root])


@given(st.sampled_from(paths.SYSTEM_TREES), st.lists(st.sampled_from(["a", "log", "x.y"]), max_size=3))
def test_no_way_leads_into_a_system_tree(tree, below):
    with pytest.raises(RefusedError):
        paths.allowed_root("/".join([tree, *below]))
    with pytest.raises(RefusedError):
        paths.pattern("/".join([tree, *below, "*"]))


def test_an_empty_allowlist_allows_no_pattern(tmp_path):
    found = faults(cleanup("{path: /var/log/*.log, retention_days: 1}", "{allow: []}"), tmp_path)
    assert len(found) == 1
    assert "outside deletion.allow" in found[0]


def test_what_stays_may_be_named_at_any_depth(tmp_path):
    text = cleanup("{path: /var/log/*.log, retention_days: 1, exclude: ['app/**', '*.gz', /var/log/keep/]}")
    assert load(text, tmp_path).tasks[0].patterns[0].exclude == ("app/**", "*.gz", "/var/log/keep/")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "config.yaml:1:1: the file is empty"),
        (b"# nothing\n", "config.yaml:1:1: the file is empty"),
        (b"---\n", "config.yaml:1:1: the file is empty"),
        (b"- a\n", "config.yaml:1:1: the file is not a mapping"),
        (b"text\n", "config.yaml:1:1: the file is not a mapping"),
        (b"name: x\nssh: \xff\n", "config.yaml:2:6: the byte 0xff is not UTF-8; save the file as UTF-8"),
        (
            b"name: x\nssh:\n\tagent: true\n",
            "config.yaml:3:1: a tab, with which YAML cannot indent; indent with spaces",
        ),
        (b"name: [x\n", "config.yaml:2:1: this is not YAML: did not find expected ',' or ']'"),
        (b"name: x\nssh: \x00\n", "config.yaml:2:6: a control character, which YAML does not allow; remove it"),
        (b"a: " + b"[" * 5000, "nested more than 20 levels deep"),
        (b"a: *b\n", "config.yaml:1:4: the alias *b is not understood here"),
    ],
)
def test_a_file_that_is_no_configuration_is_told_with_its_place(tmp_path, content, told):
    assert any(told in fault for fault in faults(content, tmp_path))


def test_a_second_document_is_refused(tmp_path):
    assert faults(TASK + "---\nname: y\n", tmp_path) == [
        "config.yaml:2:1: a second document in one file; keep one document and remove the line ---"
    ]


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    for path, told in [(tmp_path / "missing", "does not exist"), (tmp_path, "this is a folder")]:
        with pytest.raises(ConfigurationError, match=told):
            load_settings(path, {})


def test_the_environment_overrides_the_file(tmp_path):
    loaded = load(
        TASK + "guards: {fleet_share: 0.5, plan_valid_hours: 5}\n",
        tmp_path,
        {
            "MAINTENANCEBOT_GUARDS__FLEET_SHARE": "0.25",
            "MAINTENANCEBOT_SCHEDULE": "*/5 * * * *",
            "MAINTENANCEBOT_DELETION__ALLOW": '["/srv/app"]',
            "MAINTENANCEBOT_NAME": '"12"',
            "MAINTENANCEBOT_SSH": "{agent: false}",
            "MAINTENANCEBOT_SSH__PARALLEL": "4",
            "MAINTENANCEBOT_CONFIG": "/etc/maintenancebot.yaml",
            "MAINTENANCEBOT_STATE_DIR": "/tmp/x",
            "MAINTENANCEBOT_INVENTORY": "/tmp/y",
        },
    )
    assert (loaded.guards.fleet_share, loaded.guards.plan_valid_hours) == (0.25, 5)
    assert (loaded.schedule, loaded.name) == ("*/5 * * * *", "12")
    assert loaded.deletion.allow == ("/srv/app",)
    assert (loaded.ssh.agent, loaded.ssh.parallel) == (False, 4)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MAINTENANCEBOT_GUARDS__FLEETSHARE", "1", "did you mean `MAINTENANCEBOT_GUARDS__FLEET_SHARE`?"),
        ("maintenancebot_schedule", "x", "maintenancebot_schedule: this variable is not known"),
        ("MAINTENANCEBOT_CONFIGS", "x", "did you mean `MAINTENANCEBOT_CONFIG`?"),
        ("MAINTENANCEBOT_GUARDS__FLEET_SHARE", "2", "guards.fleet_share: 2 is out of range"),
        ("MAINTENANCEBOT_SSH__AGENT", "no", 'write "no" in quotes for the text, or false'),
        ("MAINTENANCEBOT_DELETION__ALLOW", '["/"]', "deletion.allow[0]: '/' reaches all of /"),
        ("MAINTENANCEBOT_DELETION__ALLOW", "[", "this is not YAML"),
        ("MAINTENANCEBOT_SLACK_PASSWORD", "hunter2x", "no secret has this name"),
    ],
)
def test_a_misspelt_or_wrong_variable_is_refused_by_its_name(tmp_path, name, value, told):
    found = faults(TASK, tmp_path, {name: value})
    assert len(found) == 1
    assert found[0].startswith(f"{name}: ")
    assert told in found[0]
    assert "hunter2x" not in found[0]


def test_the_schema_describes_every_key_and_knows_the_task_types():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert set(schema["properties"]["tasks"]["items"]["discriminator"]["mapping"]) == set(TaskType) - {TaskType.DRIFT}
    assert all(
        "description" in key
        for part in schema["$defs"].values()
        for key in part.get("properties", {}).values()
        if "const" not in key
    )


def test_every_setting_is_documented():
    text = (ROOT / "docs" / "configuration.md").read_text()
    sections = {part.split("\n", 1)[0].strip("# `"): part for part in text.split("\n## ")[1:]}
    headings = {
        "Settings": "The whole file",
        "Window": "window",
        "Freeze": "freeze",
        "Defaults": "defaults",
        "Deletion": "deletion",
        "Caps": "deletion",
        "Guards": "guards",
        "Ssh": "ssh",
        "Store": "store",
        "PackageUpdateTask": "package_update",
        "Waves": "package_update",
        "Health": "package_update",
        "HttpCheck": "package_update",
        "Origin": "package_update",
        "Trash": "deletion",
        "Offload": "deletion",
        "Remediation": "remediation",
        "DiskRemediation": "remediation",
        "Journal": "cleanup",
        "Rotation": "cleanup",
        "CleanupTask": "cleanup",
        "CleanupPattern": "cleanup",
        "DockerPruneTask": "docker_prune",
        "VerifyTask": "verify",
        "FileSource": "verify",
        "MonitorTask": "monitor",
        "TlsEndpoint": "monitor",
        "AcmSource": "monitor",
        "ResticSource": "verify",
        "BorgSource": "verify",
        "S3Source": "verify",
        "RdsSource": "verify",
        "EbsSource": "verify",
        "AwsBackupSource": "verify",
        "TrialRestore": "verify",
        "Schedules": "schedules",
        "Http": "http",
        "Tls": "http",
        "Alerts": "remediation",
        "DriftRemediation": "remediation",
        "Llm": "llm",
        "Prices": "llm",
        "Spending": "llm",
        "Slack": "slack",
        "Notify": "notify",
        "Email": "notify",
        "Hook": "notify",
    }
    seen, waiting = set(), [Settings]
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        for key, field in model.model_fields.items():
            waiting += _models(field.annotation)
            if key in ("name", "hosts", "approval", "type") and model.__name__.endswith("Task"):
                section = sections["Every task"]
            else:
                section = sections[headings[model.__name__]]
            assert f"`{key}`" in section, f"{model.__name__}.{key} is not documented under {headings[model.__name__]}"
    assert {model.__name__ for model in seen} == set(headings)
    assert all(f"`{name}`" in text for name in ("MAINTENANCEBOT_GUARDS__FLEET_SHARE",))
    assert "MAINTENANCEBOT_GUARDS__FLEET_SHARE" in names()


SAMPLE = (
    FIVE_TASKS
    + """\
timezone: Europe/Berlin
window: {days: [sun], start: "02:00", end: "06:00"}
freeze:
  - {start: "2026-12-24", end: "2027-01-02", reason: holidays}
defaults: {hosts: [all], approval: required}
deletion:
  allow: [/var/log, /srv/app/logs]
  protect: ["*.keep"]
  caps: {files: 100, bytes: 1 GiB, share: 0.5}
guards: {kill_switch_file: /etc/stop, fleet_share: 1.0}
ssh: {keys: [/root/key], parallel: 8}
store: {url: "sqlite:////tmp/x.db"}
"""
)
PIECES = st.sampled_from(
    [
        *("", " ", "\n", "\t", "---\n", "- ", "&a ", "!!int ", "<<: ", "? ", "\x00", "\ud7ff", "é", "\U0001f600"),
        *(
            "[",
            "]",
            "{",
            "}",
            ":",
            "'",
            '"',
            "#",
            "|",
            ",",
            "%",
            "/",
            "*a",
            "no",
            "null",
            "010",
            "22:30",
            "2026-01-01",
            "-1",
            "0",
            "1e9",
            "..",
        ),
    ]
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE)), st.integers(0, 30), PIECES), min_size=1, max_size=3))
@example([(0, len(SAMPLE), "")])
def test_whatever_happens_to_a_file_it_loads_or_its_faults_have_lines(tmp_path, changes):
    text = SAMPLE
    for start, length, piece in changes:
        text = text[:start] + piece + text[start + length :]
    found = outcome(text, tmp_path)
    assert found is None or found
    assert all(1 <= fault.line <= text.count("\n") + 2 and fault.column >= 1 for fault in found or ())


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60))
def test_whatever_bytes_a_file_has_it_is_refused_with_a_line(tmp_path, content):
    with pytest.raises(ConfigurationError) as caught:
        load(content, tmp_path)
    assert all(fault.line >= 1 for fault in caught.value.faults)
