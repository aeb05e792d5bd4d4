//go:build !race

package metrics_test

// raceEnabled says that the race detector, which makes everything ten times
// slower, is on.
const raceEnabled = false
