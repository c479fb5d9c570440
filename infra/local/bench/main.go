// Command bench measures what users wait for and pay for: how long each function takes from exec to its first request
// for work, beside a function that does nothing, and how large it is; then it runs Go's own benchmarks. `make bench`
// builds what it measures, with the flags of what is deployed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// minimal is the folder of the function that does nothing.
const minimal = "minimal"

func main() {
	var o options
	flag.StringVar(&o.host, "host", "build/bench", "folder of the `functions` built for this machine")
	flag.StringVar(&o.deployed, "deployed", "build/lambda", "folder of the `functions` built for AWS")
	flag.IntVar(&o.starts, "starts", 40, "how often each function is started")
	flag.StringVar(&o.benchtime, "benchtime", "100ms", "how long each Go benchmark runs")
	flag.Parse()
	o.packages = flag.Args()
	o.clock = time.Now //nolint:forbidigo // a main is where the clock enters
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	host, deployed string
	starts         int
	benchtime      string
	packages       []string // with Go benchmarks
	clock          func() time.Time
}

// run measures starts first, while nothing else of this program runs, and prints all tables at the end.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	functions, err := find(o.host, o.deployed)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(progress, "starting %d functions %d times each, in turn\n", len(functions), o.starts)
	if err := measure(ctx, functions, o.starts, o.clock); err != nil {
		return err
	}
	var benchmarks []benchmark
	if len(o.packages) > 0 {
		_, _ = fmt.Fprintf(progress, "running the Go benchmarks of %d packages\n", len(o.packages))
		if benchmarks, err = runBenchmarks(ctx, o.packages, o.benchtime); err != nil {
			return err
		}
	}
	return errors.Join(printStarts(out, machine(ctx), functions), printBenchmarks(out, benchmarks))
}

// A function is a bootstrap with what was measured of it.
type function struct {
	name      string
	bootstrap string
	size      int64 // bytes of the bootstrap, built for this machine
	zip       int64 // bytes of what is deployed to AWS, 0 where nothing is
	starts    []start
}

// find lists the functions in host, the minimal one first.
func find(host, deployed string) ([]*function, error) {
	paths, err := filepath.Glob(filepath.Join(host, "*", "bootstrap"))
	if err != nil {
		return nil, err
	}
	var first, others []*function
	for _, path := range paths {
		f := &function{name: filepath.Base(filepath.Dir(path)), bootstrap: path}
		if f.size, err = fileSize(path); err != nil {
			return nil, err
		}
		if f.name == minimal {
			first = append(first, f)
			continue
		}
		if f.zip, err = zipSize(filepath.Join(deployed, f.name, "bootstrap")); err != nil {
			return nil, err
		}
		others = append(others, f)
	}
	if len(first) == 0 || len(others) == 0 {
		return nil, fmt.Errorf("%s needs the function %s and others beside it: `make bench` builds them", host, minimal)
	}
	return append(first, others...), nil
}
