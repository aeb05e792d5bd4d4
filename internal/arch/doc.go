// Package arch holds the test that keeps the architecture: which package may
// import which (ARCHITECTURE.md draws the arrows), and how large things may
// grow before they have to be split.
package arch
