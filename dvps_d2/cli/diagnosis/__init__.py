"""What `dvps doctor` looks at: the installed packages and the machine. Standard library only.

A check returns findings and never raises for what it may find: whatever is missing here is what
the command is there to tell. Heavy packages are imported inside the checks that try them.
"""
