-- Gives the bot's role the password that stands in the file $PASSWORD_FILE:
--
--   PASSWORD_FILE=bot_password psql -v ON_ERROR_STOP=1 -f deploy/postgresql/password.sql "$OWNER_URL"
\set password `cat "$PASSWORD_FILE"`
ALTER ROLE sift_retry PASSWORD :'password';
