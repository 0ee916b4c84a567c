"""What the commands print: one typed struct for each kind of row."""
