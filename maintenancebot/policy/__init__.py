"""Pure guards: facts, rules and the time in, decisions out."""
