"""Attribution of a clip to generators."""
