"""Pages, pictures and exports of a result."""
