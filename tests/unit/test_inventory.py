"""An inventory gives complete hosts and selects exactly what is named, or is refused with every fault."""

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maintenancebot.errors import ConfigurationError, Fault, UsageError
from maintenancebot.inventory import Inventory, load_inventory
from maintenancebot.inventory_file import Entry, Group, InventoryFile
from maintenancebot.inventory_sources import AnySource
from maintenancebot.model import Host
from maintenancebot.settings import load_settings
from maintenancebot.sources.gathering import Answers, Gathered
from maintenancebot.sources.listing import Listed

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

FLEET = """\
defaults: {user: maint, labels: {owner: platform}}
groups:
  web: {port: 2222, labels: {tier: front}}
  berlin: {via: gate, timezone: Europe/Berlin}
  empty:
hosts:
  gate: {address: gate.example.com, user: root}
  web-1: {address: 10.0.0.11, groups: [web, berlin], cloud: hetzner, labels: {tier: shop}}
  web-2: {address: "2001:db8::2", groups: [web], become: false, quorum: web, maintenance: true}
  db-1: {groups: [berlin]}
  here: {connection: local}
"""


def load(text: str, tmp_path: Path) -> Inventory:
    file = tmp_path / "hosts.yaml"
    file.write_text(text)
    return load_inventory(file)


def outcome(text: str, tmp_path: Path) -> list[Fault] | None:
    """The faults of a text, None when it loads; any other exception is a bug."""
    try:
        load(text, tmp_path)
    except ConfigurationError as error:
        return error.faults
    return None


def faults(text: str, tmp_path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(text, tmp_path)
    return [str(fault).replace(f"{tmp_path}/", "") for fault in caught.value.faults]


def chosen(inventory: Inventory, *selectors: str) -> list[str]:
    return [host.name for host in inventory.select(selectors)]


def test_a_host_is_what_it_says_then_what_its_groups_say_then_the_defaults(tmp_path):
    inventory = load(FLEET, tmp_path)
    source = str(tmp_path / "hosts.yaml")
    assert inventory.hosts == (
        Host("gate", "gate.example.com", user="root", labels=(("owner", "platform"),), source=source),
        Host(
            "web-1",
            "10.0.0.11",
            port=2222,
            user="maint",
            groups=("web", "berlin"),
            cloud="hetzner",
            labels=(("owner", "platform"), ("tier", "shop")),
            timezone="Europe/Berlin",
            via="gate",
            source=source,
        ),
        Host(
            "web-2",
            "2001:db8::2",
            port=2222,
            user="maint",
            become=False,
            groups=("web",),
            labels=(("owner", "platform"), ("tier", "front")),
            quorum="web",
            maintenance=True,
            source=source,
        ),
        Host(
            "db-1",
            "db-1",
            user="maint",
            groups=("berlin",),
            labels=(("owner", "platform"),),
            timezone="Europe/Berlin",
            via="gate",
            source=source,
        ),
        Host("here", "here", user="maint", connection="local", labels=(("owner", "platform"),), source=source),
    )
    assert {name: [host.name for host in hosts] for name, hosts in inventory.groups().items()} == {
        "web": ["web-1", "web-2"],
        "berlin": ["web-1", "db-1"],
        "empty": [],
    }


def test_without_a_file_the_inventory_is_this_machine():
    (host,) = load_inventory(None).hosts
    assert (host.name, host.connection, host.become) == ("localhost", "local", None)


def test_a_host_without_any_value_is_reached_by_its_name(tmp_path):
    (host,) = load("hosts:\n  web-1.example.com:\n", tmp_path).hosts
    assert (host.address, host.port, host.user, host.connection) == ("web-1.example.com", 22, "root", "ssh")


@pytest.mark.parametrize(
    ("selectors", "hosts"),
    [
        (["all"], ["gate", "web-1", "web-2", "db-1", "here"]),
        (["web-2", "gate"], ["gate", "web-2"]),
        (["web"], ["web-1", "web-2"]),
        (["w*-?"], ["web-1", "web-2"]),
        (["berlin", "!web-1"], ["db-1"]),
        (["!berlin"], ["gate", "web-2", "here"]),
        (["!web-*", "all"], ["gate", "db-1", "here"]),
        (["web-[12]", "!web-2"], ["web-1"]),
        (["empty", "gate"], ["gate"]),
    ],
)
def test_selectors_choose_by_name_group_glob_and_negation_in_the_order_of_the_file(tmp_path, selectors, hosts):
    assert chosen(load(FLEET, tmp_path), *selectors) == hosts


@pytest.mark.parametrize(
    ("selectors", "told"),
    [
        (["web-11"], "no host or group is called 'web-11'; did you mean 'web-1'?"),
        (["all", "!wbe"], "no host or group is called 'wbe'; did you mean 'web'?"),
        (["x*"], "no host or group is called 'x\\*'; `maintenancebot hosts` lists them"),
        (["empty"], "empty selects no host"),
        (["web", "!all"], "web, !all selects no host"),
        ([], "the selector is empty"),
    ],
)
def test_a_selector_that_matches_nothing_is_refused(tmp_path, selectors, told):
    with pytest.raises(UsageError, match=told):
        load(FLEET, tmp_path).select(selectors)


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        ("no: {}", '2:3: `no` is read as false by some readers of YAML and as text by others; write "no" in quotes'),
        ("12: {}", '2:3: the key `12` is not a text; write "12" in quotes'),
        ("a: {port: '22'}", "2:13: hosts.a.port: '22' is not a whole number; write a number without quotes"),
        ("a: {port: 0}", "hosts.a.port: 0 is out of range; write a number of at least 1"),
        ("a: {port: 22:22}", "`22:22` is read as a number to the base 60"),
        ("a: {labels: {region: no}}", "2:24: `no` is read as false by some readers of YAML and as text by others"),
        ("a: {labels: {release: 1.10}}", 'hosts.a.labels.release: 1.1 is not a text; write "1.1" in quotes'),
        ("a: {labels: {x: [1]}}", "hosts.a.labels.x: a list is not a text"),
        ("a: {address: -oProxyCommand=x}", "'-oProxyCommand=x' is no address"),
        ("a: {address: 'a b'}", "'a b' is no address"),
        ('a: {address: "a\\nb"}', "is no address"),
        ("a: {address: ''}", "'' is no address"),
        ("a: {address: 300.1.2.3}", "'300.1.2.3' is no address"),
        ("a: {address: 'a:22'}", "'a:22' contains a port; write the port as `port: …`"),
        ("a: {address: root@a}", "'root@a' contains a user; write the user as `user: …`"),
        ("a: {address: '[::1]'}", "'[::1]' has brackets; write \"::1\""),
        ("a: {user: -x}", "'-x' is no user name"),
        ("a: {user: 'a b'}", "'a b' is no user name"),
        ("-a: {}", "'-a' is no host name"),
        ("a/b: {}", "'a/b' is no host name"),
        ("a: {connection: docker}", "'docker' is not one of the choices; write 'ssh' or 'local'"),
        ("a: {timezone: CEST+2}", "the time zone 'CEST+2' is unknown"),
        ("a: {adress: x}", "`adress` is not known in `hosts.a`; did you mean `address`?"),
        ("a: {ssh_password: x}", "`ssh_password` looks like a secret"),
        ("a: {via: b}", "2:12: the bastion `b` is no host here"),
        ("a: {via: a}", "the way runs in a circle: a -> a; remove one `via`"),
        ("a: {connection: local, via: a}", "a local connection needs no bastion"),
        ("all: {}", "`all` is the name of all hosts"),
        ("a: {}\n  a: {}", "3:3: `a` is given twice, first in line 2"),
    ],
)
def test_a_host_that_cannot_be_meant_is_refused(tmp_path, hosts, told):
    found = faults(f"hosts:\n  {hosts}\n", tmp_path)
    assert any(told in fault for fault in found), found
    assert len(found) == 1


def test_a_circle_of_bastions_is_told_for_each_host_on_it(tmp_path):
    found = faults("hosts:\n  a: {via: b}\n  b: {via: c}\n  c: {via: b}\n", tmp_path)
    assert [fault.split("; ")[0] for fault in found] == [
        "hosts.yaml:2:12: the way runs in a circle: a -> b -> c -> b",
        "hosts.yaml:3:12: the way runs in a circle: b -> c -> b",
        "hosts.yaml:4:12: the way runs in a circle: c -> b -> c",
    ]


def test_a_bastion_that_is_this_machine_is_refused(tmp_path):
    found = faults("hosts:\n  a: {via: b}\n  b: {connection: local}\n", tmp_path)
    assert found == ["hosts.yaml:2:12: the bastion `b` is this machine; remove `via`"]


def test_groups_that_disagree_are_refused_unless_the_host_decides(tmp_path):
    groups = "groups: {a: {user: x, labels: {k: '1'}}, b: {user: y, labels: {k: '2'}}}\nhosts:\n"
    assert faults(groups + "  h: {groups: [a, b]}\n", tmp_path) == [
        "hosts.yaml:3:3: the groups a and b of `h` differ about `labels.k`; write `labels.k` at the host itself",
        "hosts.yaml:3:3: the groups a and b of `h` differ about `user`; write `user` at the host itself",
    ]
    (host,) = load(groups + "  h: {groups: [a, b], user: z, labels: {k: '3'}}\n", tmp_path).hosts
    assert (host.user, host.labels) == ("z", (("k", "3"),))


def test_where_groups_are_declared_a_misspelt_one_is_refused(tmp_path):
    found = faults("groups: {web: {}}\nhosts:\n  h: {groups: [wbe]}\n", tmp_path)
    assert found == ["hosts.yaml:3:16: the group `wbe` is not under `groups`; did you mean `web`?"]
    assert load("hosts:\n  h: {groups: [anything]}\n", tmp_path).groups().keys() == {"anything"}


def test_a_name_that_is_a_host_and_a_group_selects_both(tmp_path):
    inventory = load("hosts:\n  web: {}\n  web-2: {groups: [web]}\n  db: {}\n", tmp_path)
    assert [host.name for host in inventory.select(["web"])] == ["web", "web-2"]


def test_a_source_of_an_unknown_kind_is_refused(tmp_path):
    found = faults("sources: [{type: gopher}]\nhosts: {a: {}}\n", tmp_path)
    assert len(found) == 1
    assert found[0].startswith("hosts.yaml:1:11: ")


def test_an_inventory_without_hosts_is_refused(tmp_path):
    said = "hosts.yaml:1:1: the inventory has no host; write at least one under `hosts`, or a list under `sources`"
    assert faults("hosts: {}\n", tmp_path) == [said]
    assert faults("groups: {}\n", tmp_path) == [said]


SOURCED = """\
defaults: {user: maint}
groups: {web: {port: 2222}, far: {port: 2300}}
hosts: {gate: {}, web-1: {address: 10.0.0.1, groups: [web]}}
sources: [{type: command, argv: [/bin/list], name: ours, groups: [listed]}]
"""


def sourced(tmp_path: Path, *hosts: Listed, at: datetime | None = NOON, problems: tuple[str, ...] = ()) -> Inventory:
    file = tmp_path / "hosts.yaml"
    file.write_text(SOURCED)
    return load_inventory(file, ask=lambda sources: Answers((Gathered(sources[0], "ours", hosts, at, problems),)))


def test_hosts_of_sources_get_what_the_file_says_of_their_groups_and_of_all(tmp_path):
    inventory = sourced(
        tmp_path,
        Listed("web-2", {"address": "10.0.0.2"}, ("web", "new")),
        Listed("db", {"user": "admin", "jump": "gate"}),
    )
    assert [host.name for host in inventory.hosts] == ["gate", "web-1", "web-2", "db"]
    web, db = inventory.hosts[2:]
    assert (web.user, web.port, web.groups, web.source) == ("maint", 2222, ("web", "new", "listed"), "ours")
    assert (db.address, db.user, db.port, db.via) == ("db", "admin", 22, "gate")
    assert chosen(inventory, "listed") == ["web-2", "db"]
    assert (inventory.notes, inventory.incomplete) == ((), False)


def test_a_source_never_makes_the_file_a_fault(tmp_path):
    inventory = sourced(
        tmp_path,
        Listed("all", {"address": "10.0.0.3"}),
        Listed("round", {"jump": "round"}),
        Listed("both", {}, ("web", "far")),
        problems=("source ours: half of it is gone",),
    )
    assert [host.name for host in inventory.hosts] == ["gate", "web-1", "both"]
    assert inventory.notes == (
        "source ours: half of it is gone",
        "the groups web and far of `both` differ about `port`, far counts; write `port` at the host itself",
        "source ours: 'all' is left out: `all` is the name of all hosts",
        "source ours: 'round' is left out: the way runs in a circle: round -> round",
    )


def test_a_source_that_never_answered_makes_the_inventory_incomplete(tmp_path):
    assert sourced(tmp_path, at=None).incomplete


def test_sources_alone_are_an_inventory(tmp_path):
    file = tmp_path / "hosts.yaml"
    file.write_text("sources: [{type: ssh_config, path: /etc/ssh/ssh_config}]\n")
    assert load_inventory(file).hosts == ()


def test_two_names_of_one_address_are_legal(tmp_path):
    assert len(load("hosts: {a: {address: 10.0.0.1}, b: {address: 10.0.0.1}}", tmp_path).hosts) == 2


def test_selectors_of_the_configuration_are_checked_against_the_inventory(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("tasks:\n  - {name: a, type: package_update, scope: all, hosts: [web, '!wbe-1']}\n")
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text(FLEET)
    with pytest.raises(ConfigurationError) as caught:
        load_inventory(hosts, load_settings(config, {}))
    assert str(caught.value) == (f"{config}:2:56: task `a`: no host or group is called 'wbe-1'; did you mean 'web-1'?")


@pytest.mark.parametrize(
    ("group", "advice"),
    [("wbe", "did you mean `web`?"), ("all", "`defaults.approval` is for all hosts")],
)
def test_groups_that_want_care_must_be_there(tmp_path, group, advice):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"tasks:\n  - {{name: a, type: package_update, scope: all}}\nguards: {{autonomy: {{{group}: required}}}}\n"
    )
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text(FLEET)
    with pytest.raises(ConfigurationError) as caught:
        load_inventory(hosts, load_settings(config, {}))
    assert str(caught.value).endswith(f"no group is called `{group}`; {advice}")
    assert str(caught.value).startswith(f"{config}:3:")


def test_every_key_is_documented():
    text = (ROOT / "docs" / "inventory.md").read_text()
    sources = get_args(get_args(AnySource)[0])
    keys = {key for model in (InventoryFile, Entry, Group, *sources) for key in model.model_fields}
    assert len(sources) == 5
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(FLEET)),
            st.integers(0, 20),
            st.sampled_from(["", " ", "\n", ":", "[", "}", "no", "-", "null", "1", "&a ", "gate", "\t", '"', "web"]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_happens_to_a_file_it_loads_or_its_faults_have_lines(tmp_path, changes):
    text = FLEET
    for start, length, piece in changes:
        text = text[:start] + piece + text[start + length :]
    found = outcome(text, tmp_path)
    assert found is None or found
    assert all(1 <= fault.line <= text.count("\n") + 2 and fault.column >= 1 for fault in found or ())


def test_a_host_whose_bastion_is_left_out_is_left_out_too(tmp_path):
    inventory = sourced(tmp_path, Listed("all", {"address": "10.0.0.3"}), Listed("db", {"jump": "all"}))
    assert [host.name for host in inventory.hosts] == ["gate", "web-1"]
    assert [note.partition(":")[0] for note in inventory.notes] == ["source ours", "source ours"]
