"""Mail that comes in: by SMTP or LMTP (`listen`), or out of mailboxes over IMAP (`poll`); `run` runs both."""
