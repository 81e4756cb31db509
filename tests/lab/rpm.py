"""Hosts of the rpm family, and repositories of our own packages for them, with and without errata.

Debian has rpm, dnf and zypper: a host that is told to be Fedora or openSUSE and whose dpkg has no packages is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from tests.lab.hosts import LabHost
from tests.lab.tools import run

RELEASES = {
    "dnf": 'ID=rocky\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="Lab of the rpm family"\n',
    "zypper": 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\nPRETTY_NAME="Lab of SUSE"\n',
}
ORDERED = [
    ("1.0-1", "1.1-1"),
    ("1.0-1", "1.0-2"),
    ("9.9-1", "1:0.1-1"),
    ("1.9-1", "1.10-1"),
    ("1.0~rc1-1", "1.0-1"),
    ("1.0-1", "1.0^git1-1"),
    ("1.0^git1-1", "1.0.1-1"),
    ("1.0-1", "1.0a-1"),
    ("1.0a-1", "1.0.1-1"),
    ("1.0-1.el9", "1.0-1.el9_4"),
    ("1.0-1.el9_4.2", "1.0-1.el9_4.10"),
    ("5.14.0-427.el9", "5.14.0-503.11.1.el9_5"),
    ("2.0.aa-1", "2.0.b-1"),
]
"""Versions of rpm, the older first."""

SPEC = """\
Name: {name}
Epoch: {epoch}
Version: {version}
Release: {release}
Summary: package {name} of the lab
License: MIT
BuildArch: noarch
{tags}
%description
package of the lab
%install
mkdir -p %{{buildroot}}/usr/share/{name} %{{buildroot}}/etc
echo '{version}' > %{{buildroot}}/usr/share/{name}/VERSION
echo 'version = {version}' > %{{buildroot}}/etc/{name}.conf
{install}
{scripts}
%files
/usr/share/{name}/VERSION
%config(noreplace) /etc/{name}.conf
{files}
"""


@dataclass(frozen=True)
class Rpm:
    """What goes into one .rpm; `tags` are further lines such as `Requires: x`."""

    name: str
    version: str = "1.0"
    release: str = "1"
    epoch: int = 0
    tags: Sequence[str] = ()
    post: str = ""  # what %post runs


@dataclass(frozen=True)
class Advisory:
    """One entry of updateinfo.xml."""

    name: str
    packages: Sequence[Rpm]
    kind: str = "security"
    severity: str = "Important"
    cves: Sequence[str] = ()
    more: Mapping[str, str] = field(default_factory=dict)  # elements of the entry, e.g. reboot_suggested


def convert(host: LabHost, manager: str) -> None:
    """Make a Debian host with dnf or zypper one of that family."""
    host.sh("mv /var/lib/dpkg /var/lib/dpkg.debian; rm -f /etc/os-release /usr/lib/os-release")
    host.write("/etc/os-release", RELEASES[manager])
    host.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")
    host.sh("mkdir -p /var/lib/rpm /etc/yum.repos.d /etc/zypp/repos.d; rpm --initdb")
    if manager == "dnf":
        host.write("/etc/dnf/dnf.conf", "[main]\ngpgcheck=0\nbest=1\n")
        host.write("/etc/dnf/plugins/local.conf", "[main]\nenabled=0\n")


def build(host: LabHost, folder: str, *packages: Rpm) -> None:
    """Make the .rpm files of packages in a folder of the host."""
    for package in packages:
        text = SPEC.format(
            **{key: getattr(package, key) for key in ("name", "epoch", "version", "release")},
            tags="\n".join(package.tags),
            install="",
            files="",
            scripts=f"%post\n{package.post}\n" if package.post else "",
        )
        host.write("/tmp/package.spec", text)
        host.run(["rpmbuild", "-bb", "--quiet", "--define", f"_rpmdir {folder}", "/tmp/package.spec"])


def publish(host: LabHost, folder: str, *packages: Rpm, advisories: Sequence[Advisory] = ()) -> None:
    """A repository in a folder of the host; it has no errata where there are no advisories."""
    build(host, folder, *packages)
    place = host.path(folder)
    run(["createrepo_c", "--quiet", place])
    if advisories:
        told = "".join(map(_update, advisories))
        info = place / "updateinfo.xml"
        info.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n{told}</updates>\n')
        run(["modifyrepo_c", "--mdtype=updateinfo", info, place / "repodata"])


def attach(host: LabHost, name: str, url: str) -> None:
    """Make a repository known to dnf and zypper."""
    text = f"[{name}]\nname={name}\nbaseurl={url}\nenabled=1\ngpgcheck=0\nautorefresh=0\n"
    host.write(f"/etc/yum.repos.d/{name}.repo", text)
    host.write(f"/etc/zypp/repos.d/{name}.repo", text + "type=rpm-md\n")


def install(host: LabHost, *packages: Rpm) -> None:
    """Install packages with rpm, as if they had always been there."""
    build(host, "/var/tmp/rpms", *packages)
    host.sh("rpm --install --nodeps /var/tmp/rpms/noarch/*.rpm && rm -r /var/tmp/rpms")


def installed(host: LabHost, name: str) -> str:
    """The installed versions of a package, empty if it is not."""
    done = host.run(["rpm", "-q", "--qf", "%{VERSION}-%{RELEASE} ", name], check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _update(advisory: Advisory) -> str:
    packages = "".join(
        f'<package name="{p.name}" version="{p.version}" release="{p.release}" epoch="{p.epoch}" arch="noarch"'
        f' src="{p.name}.src.rpm"><filename>{p.name}-{p.version}-{p.release}.noarch.rpm</filename></package>'
        for p in advisory.packages
    )
    cves = "".join(f'<reference href="h" id="{cve}" type="cve" title="{cve}"/>' for cve in advisory.cves)
    more = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in advisory.more.items())
    return (
        f'<update from="lab@example.org" status="final" type="{advisory.kind}" version="1"><id>{advisory.name}</id>'
        f"<title>{advisory.name}</title><severity>{advisory.severity}</severity>"
        '<issued date="2026-01-01 00:00:00"/><updated date="2026-01-01 00:00:00"/>'
        f"<references>{cves}</references><description>lab</description>{more}"
        f'<pkglist><collection short="c"><name>c</name>{packages}</collection></pkglist></update>\n'
    )
