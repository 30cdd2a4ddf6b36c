package postgrestest

import (
	"errors"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged is whom root starts Postgres as: the user that its package makes, or nobody.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32) // numbers, where users are root
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("start Postgres: it refuses to run as root, and there is no user postgres or nobody to run it as")
}
