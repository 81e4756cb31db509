"""The host itself: who it is, its users, processes, units and space, and how programs are run there."""
