"""The pages of this door, one file each; importing them puts their routes on the blueprint."""

from portal.staff import bp, home, sign_in

__all__ = ["bp", "home", "sign_in"]
