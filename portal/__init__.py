"""A self-hosted customer self-service portal for subscriptions."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

__version__ = "0.2.0"


def create_app() -> "Flask":
    """Puts the portal together from the settings in force: database, doors, what every request passes."""
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from portal import access, api, brand, config, customer, db, forms, health, i18n, staff, web
    from portal.domain import seller_settings

    settings = config.current()
    if not db.is_connected():
        db.connect(settings.database_url)
    app = Flask(__name__, template_folder=str(config.ROOT / "templates"), static_folder=None)
    app.config.update(
        SECRET_KEY=settings.secret_keys[0],
        SECRET_KEY_FALLBACKS=list(settings.secret_keys[1:]),
        SESSION_COOKIE_NAME="__Host-form" if settings.secure else "form",
        SESSION_COOKIE_SECURE=settings.secure,
        SESSION_COOKIE_SAMESITE="Lax",
        REMEMBER_COOKIE_NAME="__Host-unused",  # flask-login asks nobody else once it sees this cookie
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
        WTF_CSRF_CHECK_DEFAULT=False,
        MAX_CONTENT_LENGTH=web.MOST_BYTES,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    i18n.install(app.jinja_env)
    web.register(app, seller_settings.refresh)
    access.register(app)
    brand.register(app, seller_settings.refresh)
    health.register(app)
    api.register(app)
    forms.register(app)
    customer.register(app)
    staff.register(app)
    if settings.demo_mailbox:
        from portal.demo import mailbox

        app.register_blueprint(mailbox.blueprint)
    app.wsgi_app = web.OneSlash(app.wsgi_app)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops)  # type: ignore[method-assign]
    return app
