"""Images, volumes and leftovers of docker and podman: who uses them, and how single ones go."""
