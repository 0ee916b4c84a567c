"""Requests and replies of the wire: shapes of JSON, errors, pages, who may call what."""
