-- Times are UTC text with the milliseconds that are not zero, so that their order is the order of the text.
-- A text that nobody gave is ''; a time that never was is NULL.

CREATE TABLE checkpoints (
    name     TEXT NOT NULL PRIMARY KEY, -- of the table
    position TEXT NOT NULL              -- every event up to here is in the table's rows
);
--bun:split

CREATE TABLE accounts (
    project                 TEXT      NOT NULL,
    id                      TEXT      NOT NULL,
    created_at              TIMESTAMP NOT NULL,
    updated_at              TIMESTAMP NOT NULL,
    name                    TEXT      NOT NULL,
    email                   TEXT      NOT NULL,
    phone                   TEXT      NOT NULL,
    email_verified          BOOLEAN   NOT NULL,
    phone_verified          BOOLEAN   NOT NULL,
    blocked                 BOOLEAN   NOT NULL,
    password_updated_at     TIMESTAMP,
    mfa                     BOOLEAN   NOT NULL,
    prefs                   TEXT      NOT NULL, -- JSON object, as it was given
    accessed_at             TIMESTAMP NOT NULL,
    email_target            TEXT      NOT NULL,
    email_target_created_at TIMESTAMP,
    email_target_updated_at TIMESTAMP,
    logged                  BIGINT    NOT NULL,
    revision                BIGINT    NOT NULL,
    PRIMARY KEY (project, id)
);
--bun:split

CREATE TABLE sessions (
    project        TEXT      NOT NULL,
    id             TEXT      NOT NULL,
    account_id     TEXT      NOT NULL,
    secret_hash    TEXT      NOT NULL, -- SHA-256, hex
    created_at     TIMESTAMP NOT NULL,
    updated_at     TIMESTAMP NOT NULL,
    expires        TIMESTAMP NOT NULL,
    provider       TEXT      NOT NULL,
    provider_uid   TEXT      NOT NULL,
    ip             TEXT      NOT NULL,
    user_agent     TEXT      NOT NULL,
    factors        TEXT      NOT NULL, -- JSON array
    mfa_updated_at TIMESTAMP,
    PRIMARY KEY (project, id)
);
--bun:split

CREATE INDEX sessions_by_account ON sessions (project, account_id, secret_hash);
--bun:split

INSERT INTO checkpoints (name, position) VALUES ('accounts', '0/0'), ('sessions', '0/0');
