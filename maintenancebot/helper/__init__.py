"""The part that runs on hosts: Python 3.6 or newer, standard library only, sent over the channel, never installed.

It imports nothing of ours and nothing imports it; `remote/bundle.py` reads it as text.
"""
