//go:build !race

package journal

// raceEnabled says that the race detector, which makes everything ten times
// slower, is on.
const raceEnabled = false
