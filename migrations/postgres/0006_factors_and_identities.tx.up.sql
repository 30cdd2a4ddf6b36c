ALTER TABLE accounts ADD COLUMN authenticator boolean NOT NULL DEFAULT FALSE;
--bun:split

ALTER TABLE accounts ADD COLUMN recovery_codes bigint NOT NULL DEFAULT 0;
--bun:split

ALTER TABLE sessions ADD COLUMN provider_access text NOT NULL DEFAULT '';
--bun:split

ALTER TABLE sessions ADD COLUMN provider_refresh text NOT NULL DEFAULT '';
--bun:split

ALTER TABLE sessions ADD COLUMN provider_access_expires timestamptz;
--bun:split

CREATE TABLE identities (
    project        text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    account_id     text COLLATE "C" NOT NULL,
    created_at     timestamptz      NOT NULL,
    updated_at     timestamptz      NOT NULL,
    provider       text             NOT NULL,
    provider_uid   text             NOT NULL,
    provider_email text             NOT NULL,
    access         text             NOT NULL,
    refresh        text             NOT NULL,
    access_expires timestamptz,
    PRIMARY KEY (project, id)
);
--bun:split

CREATE INDEX identities_by_account ON identities (project, account_id);
--bun:split

INSERT INTO checkpoints (name, position) VALUES ('identities', '0/0');
