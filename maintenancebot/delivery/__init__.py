"""Where messages go: Slack, e-mail, a webhook. Each target takes a message and says what became of it."""
