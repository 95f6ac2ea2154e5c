"""What the bot costs, beside what it is compared with: `make bench`."""
