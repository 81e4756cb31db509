"""Speed beside peers, measured in one run on lab hosts."""
