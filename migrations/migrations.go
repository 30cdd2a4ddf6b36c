// Package migrations is the shape of the tables, as numbered SQL files, one folder per dialect. Equal numbers stand for
// equal tables; a number that one folder leaves out is of something only the other one needs. A file is never changed
// once it was released: the next change is the next number.
package migrations

import "embed"

// SQLite is the files of the sqlite folder.
//
//go:embed sqlite/*.sql
var SQLite embed.FS

// Postgres is the files of the postgres folder.
//
//go:embed postgres/*.sql
var Postgres embed.FS
