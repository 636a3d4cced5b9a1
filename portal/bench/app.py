"""What the bench serves: the portal as `wsgi.py` has it, and beside it, under /bare, the bare view."""

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from portal import create_app, logs, request_log
from portal.bench.bare import bare_app

logs.start()
app = DispatcherMiddleware(create_app(), {"/bare": bare_app()})
request_log.keep_writing()
