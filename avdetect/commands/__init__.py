"""The verbs of the command, a module each: `HELP`, `DESCRIPTION`, `add_arguments` and `run`."""
