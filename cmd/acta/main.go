// Command acta is the program: it reads the configuration, wires the parts together and runs them. It decides nothing
// about accounts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
)

// Set by -ldflags "-X main.version=... -X main.commit=..."; an empty commit is looked up in the build information.
var (
	version = "0.1.0"
	commit  = ""
)

func main() {
	if os.Getenv("GOGC") == "" {
		// Little lives long here: requests, and 19 MiB for each password being hashed. Collecting half as often costs
		// memory only while there is work.
		debug.SetGCPercent(200)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program without its process. It returns the exit code: 0, 1 when something failed, 2 when the
// configuration is wrong.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := command(environ)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "acta:", strings.ReplaceAll(err.Error(), "\n", "; "))
	if _, ok := errors.AsType[configError](err); ok {
		return 2
	}
	return 1
}

func command(environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:                "acta",
		Short:              "Event-sourced accounts behind the Appwrite Account API",
		SilenceErrors:      true, // run prints them
		SilenceUsage:       true,
		DisableSuggestions: true, // they take several lines
		CompletionOptions:  cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	path := root.PersistentFlags().String("config", env.ToMap(environ)["ACTA_CONFIG"],
		"configuration file, also ACTA_CONFIG; without one the development mode")

	// with loads the configuration before the command's own work.
	with := func(work func(cmd *cobra.Command, cfg config, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			cfg, err := load(*path, environ)
			if err != nil {
				return err
			}
			return work(cmd, cfg, args)
		}
	}

	configuration := group("config", "Look at the configuration")
	configuration.AddCommand(&cobra.Command{
		Use:   "print",
		Short: "Print the configuration in effect, secrets masked",
		Args:  cobra.NoArgs,
		RunE: with(func(cmd *cobra.Command, cfg config, _ []string) error {
			text, err := masked(cfg)
			fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		}),
	})
	root.AddCommand(
		&cobra.Command{
			Use:   "serve",
			Short: "Run everything in one process until SIGTERM",
			Args:  cobra.NoArgs,
			RunE: with(func(cmd *cobra.Command, cfg config, _ []string) error {
				return serve(cmd.Context(), cfg)
			}),
		},
		&cobra.Command{
			Use:   "migrate",
			Short: "Bring the schema of the read models up to date",
			Args:  cobra.NoArgs,
			RunE: with(func(cmd *cobra.Command, cfg config, _ []string) error {
				return migrateReadModels(cmd.Context(), cfg)
			}),
		},
		&cobra.Command{
			Use:   "rebuild <read model>... | all",
			Short: "Fill read models anew from the event log, then swap them in",
			Args:  cobra.MinimumNArgs(1),
			RunE: with(func(cmd *cobra.Command, cfg config, names []string) error {
				return rebuild(cmd.Context(), cfg, names, cmd.OutOrStdout())
			}),
		},
		&cobra.Command{
			Use:   "restored",
			Short: "After a restored backup: put right the processes that are ahead of the event log",
			Args:  cobra.NoArgs,
			RunE: with(func(cmd *cobra.Command, cfg config, _ []string) error {
				return restored(cmd.Context(), cfg, cmd.OutOrStdout())
			}),
		},
		lettersCommand(with),
		configuration,
		&cobra.Command{
			Use:   "health",
			Short: "Ask the running program whether it is ready; the exit code tells",
			Args:  cobra.NoArgs,
			RunE: with(func(cmd *cobra.Command, cfg config, _ []string) error {
				return ping(cmd.Context(), cfg)
			}),
		},
		&cobra.Command{
			Use:   "version",
			Short: "Print version, commit and Go version",
			Args:  cobra.NoArgs,
			Run: func(cmd *cobra.Command, _ []string) {
				fmt.Fprintf(cmd.OutOrStdout(), "acta %s\ncommit %s\n%s %s/%s\n", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			},
		},
	)
	return root
}

// group is a command that does nothing but hold others. Unlike cobra's own it refuses what it does not hold: whoever
// mistypes in a script must not be told that all went well.
func group(use, short string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
}

// revision is the commit the program was built from.
func revision() string {
	if commit != "" {
		return commit
	}
	found, modified := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				found = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " (modified)"
			}
		}
	}
	return found + modified
}
