"""Old files, logs, the journal and caches: what is due, why the rest stays, and the steps that make room."""
