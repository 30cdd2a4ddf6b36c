-- What several instances need to share one database. SQLite has no 0002: there, one process does everything.

-- Who does what only one may do at a time.
CREATE TABLE leases (
    name    text        NOT NULL PRIMARY KEY,
    holder  text        NOT NULL, -- host, process id; for people who look
    token   bigint      NOT NULL, -- rises with every holder
    expires timestamptz NOT NULL, -- by this server's clock
    -- Makes the token a part of a key: a transaction of the holder keeps it from changing by FOR KEY SHARE, and that
    -- does not hold up renewing, which changes no key.
    UNIQUE (name, token)
) WITH (fillfactor = 50);
--bun:split

-- How far the processes have come. Unlike read models it is not made again from the log: without it, they begin anew.
CREATE TABLE processes (
    name     text NOT NULL PRIMARY KEY,
    position text NOT NULL
) WITH (fillfactor = 50);
