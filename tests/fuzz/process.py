"""How fuzzers are started."""


def fresh(*command: str) -> list[str]:
    """The command in a process whose greatest memory is its own.

    The kernel lets a program that is started inherit the greatest memory of the process that starts it, which
    libFuzzer takes for what the parser needs; a shell in between is small.
    """
    return ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command]
