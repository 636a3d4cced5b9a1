"""The portal in a real browser: real processes, a real mail server, and what people do with mouse and keyboard."""
