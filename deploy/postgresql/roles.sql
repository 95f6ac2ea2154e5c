-- The role that the bot connects as: it owns nothing, adds to the audit and reads it, and changes no table's shape.
-- Run as the owner of the tables after each `sift-retry migrate`, all or nothing; running it again changes nothing:
--
--   psql -v ON_ERROR_STOP=1 -1 -f deploy/postgresql/roles.sql "$OWNER_URL"
--
-- `sift-retry migrate` and `sift-retry audit archive` take the owner, everything else this role.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sift_retry') THEN
        CREATE ROLE sift_retry LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
    END IF;
    -- Whoever can make temporary tables can fill the disk with them.
    EXECUTE 'REVOKE TEMPORARY ON DATABASE ' || quote_ident(current_database()) || ' FROM PUBLIC';
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;    -- given to everybody before PostgreSQL 15
GRANT USAGE ON SCHEMA public TO sift_retry;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM sift_retry;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO sift_retry;
REVOKE INSERT, UPDATE ON alembic_version FROM sift_retry;
REVOKE UPDATE ON audit FROM sift_retry;

-- Nothing else is ever deleted.
GRANT DELETE ON marks, quotas, offers, digests TO sift_retry;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO sift_retry;
