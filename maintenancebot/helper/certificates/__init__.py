"""Certificates: in files, in web servers' configurations, as ports serve them; and their renewal by certbot."""
