"""`/docs/errors`: what each error code means and what to do; every error's `documentation_url` leads here."""

from flask import render_template

from portal.api import bp

CODES: dict[str, tuple[int, str, str]] = {
    "authentication_missing": (403, "There is no Authorization header.", "Send Authorization: Bearer <key>."),
    "authentication_malformed": (403, "The Authorization header has another form.", "Send Bearer, a space, the key."),
    "invalid_token": (403, "The key is unknown or revoked.", "Make one with portal api-key create."),
    "forbidden": (403, "The key lacks a permission.", "Make a key that has the permission the detail names."),
    "bad_request": (400, "The request can't be read.", "See the detail; nothing was changed."),
    "invalid_json": (400, "The body is not JSON.", "Send one JSON object, in UTF-8."),
    "invalid_field": (400, "A field or parameter has a value that does not fit.", "errors names each and says why."),
    "unsupported_media_type": (415, "The body is not declared as JSON.", "Send Content-Type: application/json."),
    "request_body_too_large": (413, "The body is larger than 1 MB.", "Send less."),
    "not_found": (404, "There is no such entity, or it is another customer's.", "Check the id."),
    "invalid_url": (404, "There is no such URL.", "Check the path."),
    "method_not_allowed": (405, "The URL does not take this method.", "Check the reference."),
    "conflict": (409, "Something else changed it at the same moment.", "Read it again, then decide."),
    "customer_already_exists": (409, "The email address is taken.", "The detail ends with the customer's id."),
    "entity_archived": (400, "The entity is archived.", "Set its status to active first."),
    "customer_email_invalid": (400, "The email address can't be one.", "Correct it."),
    "subscription_update_when_canceled": (400, "Canceled is final.", "Sell a new subscription."),
    "subscription_update_when_past_due": (400, "A payment is outstanding.", "Collect it first, or cancel at once."),
    "subscription_locked_pending_changes": (400, "A change is scheduled already.", "Remove it first."),
    "subscription_locked_renewal": (
        409,
        "The next billing is too close (under 30 minutes, unless the seller set another lock).",
        "Try after it.",
    ),
    "subscription_end_reached": (409, "The scheduled end has come.", "Sell a new subscription."),
    "subscription_scheduled_change_invalid_update": (400, "Only null removes it.", "Send scheduled_change: null."),
    "subscription_scheduled_by_seller": (403, "The seller scheduled this end.", "Only the seller takes it back."),
    "subscription_not_automatic_collection": (400, "It is paid by invoice.", "There is no card to replace."),
    "self_cancellation_off": (403, "The seller ends subscriptions on request.", "See the page's instructions."),
    "card_refused": (422, "The gateway refused the card.", "Try another card."),
    "payment_under_way": (409, "The same debt is being collected.", "Try again in a minute."),
    "outside_link": (403, "The link opens another page.", "Ask for a link to this page."),
    "csrf": (403, "The form is too old or came from another site.", "Open the page again."),
    "link_broken": (403, "The link is not one of ours.", "Sign in by email."),
    "too_many_requests": (429, "Too many requests.", "Wait for Retry-After seconds."),
    "service_unavailable": (503, "The database can't record anything now.", "Nothing was recorded. Try again soon."),
    "internal_error": (500, "A defect of ours.", "Tell us the request id."),
}


@bp.get("/docs/errors")
def error_codes() -> str:
    return render_template("docs/errors.html", codes=CODES)
