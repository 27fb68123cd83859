"""The HTTP side: API, metrics, looking glass; served in the event loop of the daemon, off by default.

The seam: a module of this package has ``routes(daemon) -> Iterable[BaseRoute]`` (Starlette) and stands in
``MODULES`` of ``app.py``, which adds the metrics and the pages. All that it knows of the rest it asks of the
``Daemon`` (``daemon.py``):

    daemon.served            the set that answers come from, None before the first: a frozen Served with
                             ``snapshot`` (rov.Snapshot), ``index`` (rov.VrpIndex), ``history``
                             (cache.history.History: ``delta_since(serial)``, ``serials``), ``serial``,
                             ``session``, ``generation``, ``made``. Take it once a request, so that an answer
                             is of one set
    daemon.ready()           whether that set may be given out
    daemon.changes           the last updates as Recorded (time, serial, why, delta, seconds, vrps), newest
                             first
    await daemon.changed(g)  return when ``served.generation`` is beyond g: long polls, server-sent events
    await daemon.sessions()  rtr_server.sessions.Listing: a SessionRow a router, the last that ended
    await daemon.sources()   the dict of the control command ``sources``
    daemon.held()            the dict of ``update show``: what the guard holds
    daemon.rib               Rib: the routes of [http] rib; ``status()``, and ``table``, None while there are
                             none, else a frozen Table of the routes with their states under ``served``:
                             ``covering(prefix)``, ``under(prefix)``, ``of(asn)``, ``counts()``,
                             ``counts_of(asn)``, ``part_of(asn)``, ``verdicts`` for rov.audit
    daemon.age(), .status(), .config, .updates, .clock, .began

Handlers run in the event loop, where RTR sessions live: nothing in them may take longer than a millisecond.
Whatever walks a whole set goes through ``rtr_server.threads.in_thread``, and what is large is streamed.
What is wrong with a request is raised as ``problems.Problem(status, "what was expected")``.

``gate.py`` adds the headers of every answer, a Content-Security-Policy without inline scripts and styles
among them: static files come from ``rtr_server/web/pages/static``. ``protocol.py`` and
``server.py`` bound connections, heads, bodies, stalls.
"""
