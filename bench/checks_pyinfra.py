"""The five read-only checks of a weekly cycle, as a pyinfra user would write them."""

from pyinfra.operations import server

for name, command in (
    ("security updates that are due", "LC_ALL=C apt-get -s -o Debug::NoLocking=1 dist-upgrade"),
    ("old logs", "find /var/log -xdev -name '*.*.log' -mtime +30"),
    ("the Docker daemon", "stat /run/docker.sock || true"),
    ("backups of the last day", "find /var/backups -name '*.gz' -mtime -1"),
    ("certificates", "find /etc/letsencrypt/live /etc/nginx/ssl -name '*.pem' || true"),
):
    server.shell(name=name, commands=[command], _sudo=True)
