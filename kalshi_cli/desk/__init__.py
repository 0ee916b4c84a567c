"""What a person does at the desk, one command at a time: place, cancel, look at positions, ask whether all is well."""
