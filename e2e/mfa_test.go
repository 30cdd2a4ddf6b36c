//go:build linux

package e2e

import "testing"

func TestSecondFactorsWithTheBrowserLibrary(t *testing.T) {
	t.Parallel()
	libraries(t)
	startWithPostbox(t).script(t, "--import", "./localstorage.mjs", "mfa.mjs")
}
