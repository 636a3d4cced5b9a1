"""What the bench serves: the portal as it is served, and beside it, under /bare, the bare view."""

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from portal.bench.bare import bare_app
from wsgi import app as portal

app = DispatcherMiddleware(portal, {"/bare": bare_app()})
