"""The command line: click commands, what they print, how they end. Heavy modules are imported when a command runs."""
