"""Views: what services return, one typed struct for each thing, behind JSON, tables and CSV."""
