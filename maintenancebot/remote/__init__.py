"""Connections to hosts and the helper's client; fabric and paramiko live here."""
