// Empty: a Go file may declare functions without a body, as argon2id.go does, only beside an assembly file.
