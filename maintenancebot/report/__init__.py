"""What happened, for people and for programs: totals, JSON, text. Never touches a host."""
