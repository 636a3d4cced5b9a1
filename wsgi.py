"""The WSGI application, for any server: `wsgi:app`."""

from portal import create_app, logs

logs.start()
app = create_app()
