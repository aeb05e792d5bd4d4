// Package packages installs the packages that `make package` has made, into
// roots of their own, and has systemd look at the units.
//
// It has no code of its own: see its tests.
package packages
