// Command bench measures Acta on this machine and prints the figures as a table, each beside the machine's own limit
// taken in the same run: what a disk or two cores do not give, no program can.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
)

// figure is one line of the table.
type figure struct {
	what  string
	got   string
	limit string // the machine's own, in the same run
	least string // the mark
	held  bool
}

// stage measures some figures.
type stage struct {
	name string
	run  func(*bench) ([]figure, error)
}

var stages = []stage{
	{"disk and log", logFigures},
	{"projections", projectionFigures},
	{"commands", commandFigures},
	{"program", programFigures},
	{"letters", letterFigures},
	{"cluster", clusterFigures},
}

// bench is what stages share.
type bench struct {
	dir    string        // on the disk to be measured
	length time.Duration // of each measurement
}

func main() {
	dir := flag.String("dir", "", "folder on the disk to measure (default: the system's temporary folder)")
	length := flag.Duration("time", 4*time.Second, "length of each measurement")
	only := flag.String("only", "", "measure only the stages whose name contains this")
	flag.Parse()
	if err := run(*dir, *length, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(parent string, length time.Duration, only string) error {
	dir, err := os.MkdirTemp(parent, "acta-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, length: length}
	bar := progressbar.NewOptions(len(stages), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
	var all []figure
	for _, s := range stages {
		bar.Describe(s.name)
		if strings.Contains(s.name, only) {
			figures, err := s.run(b)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			all = append(all, figures...)
		}
		_ = bar.Add(1) // it fails only when standard error does
	}
	_ = bar.Finish()
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "| What\t| Got\t| The machine's own limit\t| At least\t| Held\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|")
	for _, f := range all {
		held := "yes"
		if !f.held {
			held = "NO"
		}
		fmt.Fprintf(t, "| %s\t| %s\t| %s\t| %s\t| %s\t|\n", f.what, f.got, f.limit, f.least, held)
	}
	return t.Flush()
}

// rate counts how often work succeeds in a time, with several goroutines at once. Each is given its number.
func rate(length time.Duration, goroutines int, work func(goroutine int) error) (perSecond float64, err error) {
	counts, errs := make(chan int, goroutines), make(chan error, goroutines)
	began := time.Now()
	for g := range goroutines {
		go func() {
			n := 0
			for time.Since(began) < length {
				if err := work(g); err != nil {
					errs <- err
					break
				}
				n++
			}
			counts <- n
		}()
	}
	total := 0
	for range goroutines {
		total += <-counts
	}
	select {
	case err = <-errs:
	default:
	}
	return float64(total) / time.Since(began).Seconds(), err
}

// whole writes a number with its thousands apart.
func whole(x float64) string {
	s := fmt.Sprintf("%.0f", x)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
