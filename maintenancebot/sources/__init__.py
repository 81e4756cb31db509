"""Reads other lists of servers: each kind of source gives a listing, and the listings are merged with the inventory."""
