"""What every process agrees on: the journey language, the tables, the messages, the store. Imports nothing of ours."""
