// Command warren is a message broker and everything to run it with.
package main

import (
	"context"
	"os"

	"github.com/warrenmq/warren/internal/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(cli.Run(context.Background(), cli.Env{
		Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Version: version,
	}))
}
