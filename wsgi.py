"""The WSGI application, for any server: `wsgi:app`."""

import gc

from portal import create_app, logs, request_log

logs.start()
app = create_app()
request_log.keep_writing()
for _name in app.jinja_env.list_templates(filter_func=lambda name: name.startswith("customer/")):
    app.jinja_env.get_template(_name)  # compiled before the first customer waits for it
gc.collect()
gc.freeze()  # what was loaded stays: to look for garbage in it would hold up a request now and then by 50 ms
