package vault

import "context"

// store keeps wrapped keys. When a method that changes something returns nil, the change is durable; after an error it
// may have been made or not. Errors are the store's own: trouble says what one means to those who use the log.
type store interface {
	// prepare makes what is missing to keep keys in, and gives the proof of their master secret. That is the one given
	// if there was neither proof nor key before, and nil if there are keys without a proof.
	prepare(ctx context.Context, proof []byte) ([]byte, error)
	// read gives the rows of those of the subjects that have one; wrapped is the callee's for the time of the call.
	read(ctx context.Context, subjects []string, row func(subject string, wrapped []byte, forgotten bool) error) error
	// insert adds a row for each subject that has none; the others stay as they are. A subject may be named twice.
	insert(ctx context.Context, subjects []string, wrapped [][]byte) error
	// destroy leaves of a subject's row, or of none, the mark that it was forgotten.
	destroy(ctx context.Context, subject string) error
	// clear removes what destroyed keys have left behind, as far as this store can.
	clear(ctx context.Context) error
	trouble(err error) error
	close() error
}
