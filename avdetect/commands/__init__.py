"""The verbs of the command, one module each: `HELP`, `DESCRIPTION`, `add_arguments` and `run`."""
