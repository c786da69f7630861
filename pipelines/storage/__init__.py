"""URIs, local copies, whole files, kept rows."""
