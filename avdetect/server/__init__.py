"""The server: uploads, a queue, results kept on disk, a page."""
