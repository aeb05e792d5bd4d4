//go:build !race

package mgmt

// raceEnabled says that the race detector, which makes everything ten times
// slower, is on.
const raceEnabled = false
