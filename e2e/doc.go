// Package e2e tells stories on the real program: over HTTP, with the official client libraries, in a real browser, and
// with what goes wrong on real machines (killed, disk full, a sync that fails). The tests need Linux.
package e2e
