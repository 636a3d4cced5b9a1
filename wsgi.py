"""The WSGI application, for any server: `wsgi:app`."""

from portal import create_app, logs

logs.start()
app = create_app()
for _name in app.jinja_env.list_templates(filter_func=lambda name: name.startswith("customer/")):
    app.jinja_env.get_template(_name)  # compiled before the first customer waits for it
