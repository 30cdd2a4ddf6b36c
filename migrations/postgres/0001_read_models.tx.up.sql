-- The tables of sqlite/0001, with the same rows after the same events. So what is JSON is kept as the text it was given
-- as, keys and their order are compared byte by byte, and times are not rounded.
-- A text that nobody gave is ''; a time that never was is NULL.

CREATE TABLE checkpoints (
    name     text NOT NULL PRIMARY KEY, -- of the table
    position text NOT NULL              -- every event up to here is in the table's rows
) WITH (fillfactor = 50);
--bun:split

-- Instances that do not project hear of a checkpoint in the moment in which its rows can be seen: the word is part of
-- the commit, so there is no place at which a crash loses one of the two.
CREATE FUNCTION checkpoint_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('acta_checkpoint', NEW.name || ' ' || NEW.position);
    RETURN NULL;
END $$;
--bun:split

CREATE TRIGGER checkpoint_moved AFTER UPDATE ON checkpoints FOR EACH ROW EXECUTE FUNCTION checkpoint_moved();
--bun:split

CREATE TABLE accounts (
    project                 text COLLATE "C" NOT NULL,
    id                      text COLLATE "C" NOT NULL,
    created_at              timestamptz      NOT NULL,
    updated_at              timestamptz      NOT NULL,
    name                    text             NOT NULL,
    email                   text             NOT NULL,
    phone                   text             NOT NULL,
    email_verified          boolean          NOT NULL,
    phone_verified          boolean          NOT NULL,
    blocked                 boolean          NOT NULL,
    password_updated_at     timestamptz,
    mfa                     boolean          NOT NULL,
    prefs                   text             NOT NULL, -- JSON object, as it was given
    accessed_at             timestamptz      NOT NULL,
    email_target            text             NOT NULL,
    email_target_created_at timestamptz,
    email_target_updated_at timestamptz,
    logged                  bigint           NOT NULL,
    revision                bigint           NOT NULL,
    PRIMARY KEY (project, id)
) WITH (fillfactor = 80);
--bun:split

CREATE TABLE sessions (
    project        text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    account_id     text COLLATE "C" NOT NULL,
    secret_hash    text COLLATE "C" NOT NULL, -- SHA-256, hex
    created_at     timestamptz      NOT NULL,
    updated_at     timestamptz      NOT NULL,
    expires        timestamptz      NOT NULL,
    provider       text             NOT NULL,
    provider_uid   text             NOT NULL,
    ip             text             NOT NULL,
    user_agent     text             NOT NULL,
    factors        text             NOT NULL, -- JSON array
    mfa_updated_at timestamptz,
    PRIMARY KEY (project, id)
);
--bun:split

CREATE INDEX sessions_by_account ON sessions (project, account_id, secret_hash);
--bun:split

INSERT INTO checkpoints (name, position) VALUES ('accounts', '0/0'), ('sessions', '0/0');
