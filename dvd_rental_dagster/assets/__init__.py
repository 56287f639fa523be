"""The assets: thin, they call the packages beside this one."""
