"""The types of events that this portal records, for those who choose what they are told of."""

_GROUPS: dict[str, dict[str, str]] = {
    "Customer": {
        "customer.created": "A customer was created.",
        "customer.updated": "A customer was changed or archived.",
    },
    "Address": {
        "address.created": "An address was created.",
        "address.updated": "An address was changed or archived.",
    },
    "Business": {
        "business.created": "A business was created.",
        "business.updated": "A business was changed or archived.",
    },
    "Product": {
        "product.created": "A product was created.",
        "product.updated": "A product was changed or archived.",
    },
    "Price": {
        "price.created": "A price was created.",
        "price.updated": "A price was changed or archived.",
    },
    "Payment Method": {
        "payment_method.saved": "A customer's payment method was saved.",
        "payment_method.deleted": "A saved payment method was deleted; deletion_reason says why.",
    },
    "Subscription": {
        "subscription.activated": "A trial has ended and the subscription is active.",
        "subscription.canceled": "A subscription has ended.",
        "subscription.created": "A subscription was created.",
        "subscription.past_due": "A subscription has a payment that could not be collected.",
        "subscription.paused": "A subscription was paused.",
        "subscription.resumed": "A paused subscription goes on.",
        "subscription.trialing": "A subscription has begun with a trial.",
        "subscription.updated": "A subscription has changed in any way; a scheduled change is one.",
    },
    "Transaction": {
        "transaction.billed": "A transaction was billed: it is final and waits for its payment.",
        "transaction.canceled": "A transaction was canceled: nothing is collected for it any more.",
        "transaction.completed": "A transaction is paid and everything about it is done.",
        "transaction.created": "A transaction was created.",
        "transaction.paid": "A transaction was paid.",
        "transaction.past_due": "A transaction could not be collected and is overdue.",
        "transaction.payment_failed": "An attempt to collect a transaction failed.",
        "transaction.ready": "A transaction has all it needs to be billed.",
        "transaction.revised": "The invoice details of a transaction were corrected.",
        "transaction.updated": "A transaction has changed in any way.",
    },
}
GROUP = {name: group for group, types in _GROUPS.items() for name in types}
DESCRIPTION = {name: words for types in _GROUPS.values() for name, words in types.items()}
NAMES = tuple(DESCRIPTION)
