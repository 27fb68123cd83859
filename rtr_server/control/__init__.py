"""The local control socket: how ``rtr-server sessions``, ``kick`` and others ask the running daemon.

A request is a JSON object on a line, and so is its answer; the connection stays open for more.

    {"v": 1, "command": "kick", "arguments": {"who": "192.0.2.1"}}
    {"v": 1, "ok": true, "result": {"ended": 1}}
    {"v": 1, "ok": false, "error": "no session of 192.0.2.1"}

``codec`` knows the lines (no input or output), ``commands`` the table of what can be asked, ``server`` the
socket of the daemon and ``client`` that of the command line. Who may ask is a matter of the socket's
permissions. To offer a command, give the daemon a ``Command`` (see ``commands``); to ask, ``client.ask``.
"""
