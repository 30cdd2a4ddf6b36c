-- Events that a process can never finish, for people to look at. SQLite keeps them in the processes' own file.
CREATE TABLE set_aside (
    process  text        NOT NULL,
    position text        NOT NULL,
    stream   text        NOT NULL,
    revision bigint      NOT NULL,
    type     text        NOT NULL,
    reason   text        NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (process, position)
);
