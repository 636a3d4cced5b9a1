"""How what happened leaves the portal: mails and webhooks, sent from rows that stand beside the change."""
