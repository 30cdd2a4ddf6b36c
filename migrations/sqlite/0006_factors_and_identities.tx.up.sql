ALTER TABLE accounts ADD COLUMN authenticator BOOLEAN NOT NULL DEFAULT FALSE;
--bun:split

ALTER TABLE accounts ADD COLUMN recovery_codes INTEGER NOT NULL DEFAULT 0;
--bun:split

ALTER TABLE sessions ADD COLUMN provider_access TEXT NOT NULL DEFAULT '';
--bun:split

ALTER TABLE sessions ADD COLUMN provider_refresh TEXT NOT NULL DEFAULT '';
--bun:split

ALTER TABLE sessions ADD COLUMN provider_access_expires TIMESTAMP;
--bun:split

CREATE TABLE identities (
    project        TEXT      NOT NULL,
    id             TEXT      NOT NULL,
    account_id     TEXT      NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    updated_at     TIMESTAMP NOT NULL,
    provider       TEXT      NOT NULL,
    provider_uid   TEXT      NOT NULL,
    provider_email TEXT      NOT NULL,
    access         TEXT      NOT NULL,
    refresh        TEXT      NOT NULL,
    access_expires TIMESTAMP,
    PRIMARY KEY (project, id)
);
--bun:split

CREATE INDEX identities_by_account ON identities (project, account_id);
--bun:split

INSERT INTO checkpoints (name, position) VALUES ('identities', '0/0');
