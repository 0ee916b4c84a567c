"""Here so that every test can import what lies in this directory (`conformance`)."""
