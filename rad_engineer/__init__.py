"""Executes PRD files with coding agents."""

__version__ = "0.1.0"
