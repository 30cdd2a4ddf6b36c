-- Letters to be delivered, and what became of them. SQLite has no 0004: there, they are in a file of their own, because
-- unlike read models they are not made again from the log. adapters/letterbox has its schema.
-- Nothing here tells about the person: what a letter says is read from its event when it is sent.
-- A time that never was is NULL.

CREATE TABLE letters (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    stream     text             NOT NULL, -- with revision: the event that asks for it
    revision   bigint           NOT NULL,
    kind       text             NOT NULL,
    channel    text             NOT NULL,
    status     text             NOT NULL CHECK (status IN ('queued', 'sent', 'failed', 'abandoned')),
    attempts   integer          NOT NULL,
    first_try  timestamptz,
    next_try   timestamptz      NOT NULL,
    expires    timestamptz,
    problem    text             NOT NULL,
    created_at timestamptz      NOT NULL,
    updated_at timestamptz      NOT NULL
) WITH (fillfactor = 80);
--bun:split

CREATE INDEX letters_due ON letters (channel, next_try, id) WHERE status = 'queued';
--bun:split

-- For listing, counting and removing.
CREATE INDEX letters_by_age ON letters (created_at, id);
--bun:split

CREATE INDEX letters_by_status ON letters (status, created_at, id);
