"""Booted Debian hosts for tests: real systemd, sshd, apt, file systems, Docker and ACME."""
