"""Here so that every test can import what lies in this directory (`conformance`)."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no finding
settings.load_profile("untimed")
