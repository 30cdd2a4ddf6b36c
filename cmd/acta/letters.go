package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/letterbox"
	"github.com/actahq/acta/commands/process"
)

// lettersFile is in the data folder. It is not disposable: what waits to be sent is nowhere else.
const lettersFile = "letters.db"

// openLetterbox opens the letters: in the database that instances share, or in the data folder.
func openLetterbox(cfg config, db readModelStore) (*letterbox.Box, error) {
	if shared, ok := db.(*database.Postgres); ok {
		return letterbox.OpenPostgres(shared), nil
	}
	return letterbox.Open(filepath.Join(cfg.DataDir, lettersFile))
}

// lettersCommand lets operators look at letters and have them sent again, also while the program serves. with loads the
// configuration.
func lettersCommand(with func(func(*cobra.Command, config, []string) error) func(*cobra.Command, []string) error) *cobra.Command {
	var status string
	var limit int
	list := &cobra.Command{
		Use:   "list",
		Short: "Print letters, the newest first",
		Args:  cobra.NoArgs,
		RunE: with(func(cmd *cobra.Command, cfg config, _ []string) error {
			which := process.ListLetters{Status: process.Status(status), Limit: limit}
			if status != "" && !slices.Contains(statuses, which.Status) {
				return fmt.Errorf("--status is one of %q", statuses)
			}
			if limit < 1 {
				return errors.New("--limit is at least 1")
			}
			return withLetters(cmd.Context(), cfg, func(box *letterbox.Box) error {
				letters, err := box.List(cmd.Context(), which)
				if err != nil {
					return err
				}
				return printLetters(cmd.OutOrStdout(), letters)
			})
		}),
	}
	list.Flags().StringVar(&status, "status", "", "only those that are queued, sent, failed or abandoned")
	list.Flags().IntVar(&limit, "limit", 50, "at most so many")
	retry := &cobra.Command{
		Use:   "retry [id]...",
		Short: "Queue letters again that failed or were abandoned; all that failed when none is named",
		RunE: with(func(cmd *cobra.Command, cfg config, ids []string) error {
			return withLetters(cmd.Context(), cfg, func(box *letterbox.Box) error {
				ids = slices.Compact(slices.Sorted(slices.Values(ids)))
				n, err := box.Retry(cmd.Context(), time.Now(), ids...)
				switch {
				case err != nil:
					return err
				case n == 0 && len(ids) > 0:
					return errors.New("none of these letters is queued again: they are unknown, queued, sent or expired")
				}
				fmt.Fprintf(cmd.OutOrStdout(), "queued again: %d\n", n)
				if left := len(ids) - n; left > 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "left alone: %d, which are unknown, queued, sent or expired\n", left)
				}
				return nil
			})
		}),
	}
	letters := group("letters", "Look at the mails and text messages that were or will be sent")
	letters.AddCommand(list, retry)
	return letters
}

var statuses = []process.Status{process.Queued, process.Sent, process.Failed, process.Abandoned}

// withLetters works on the letters beside a program that may be sending them. It makes and migrates nothing.
func withLetters(ctx context.Context, cfg config, work func(*letterbox.Box) error) (err error) {
	var db readModelStore
	if cfg.ReadModels != "" {
		shared, err := database.OpenPostgres(ctx, cfg.ReadModels)
		if err != nil {
			return err
		}
		defer shared.Close()
		db = shared
	} else if _, err := os.Stat(filepath.Join(cfg.DataDir, lettersFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there are no letters yet in the data_dir %s", cfg.DataDir)
	} else if err != nil {
		return err
	}
	box, err := openLetterbox(cfg, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	return work(box)
}

// printLetters prints a table, each letter on a line. Times are UTC.
func printLetters(out io.Writer, letters []process.Letter) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSTATUS\tKIND\tCHANNEL\tATTEMPTS\tNEXT TRY\tEXPIRES\tCREATED\tPROBLEM")
	for _, l := range letters {
		next, expires := "-", "never"
		if l.Status == process.Queued {
			next = l.NextTry.Format(time.RFC3339)
		}
		if !l.Expires.IsZero() {
			expires = l.Expires.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n",
			l.ID, l.Status, l.Kind, l.Channel, l.Attempts, next, expires, l.CreatedAt.Format(time.RFC3339), l.Problem)
	}
	return table.Flush()
}
