//go:build linux && race

package e2e

// raced: the tests are built with the race detector, so the program is too.
const raced = true
