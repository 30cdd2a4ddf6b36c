package protocol

import (
	"fmt"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
)

// refusal is an error as clients know it: a status and, in trailers, the exception it stands for.
type refusal struct {
	code    codes.Code
	text    string
	trailer []string // keys and values in turn; keys in lower case
}

func (r *refusal) Error() string { return r.text }

func refuse(code codes.Code, text string, trailer ...string) *refusal {
	return &refusal{code, text, trailer}
}

func invalid(format string, args ...any) *refusal {
	return refuse(codes.InvalidArgument, fmt.Sprintf(format, args...))
}

var errStopping = refuse(codes.Unavailable, "the server is stopping")

// errTimeout: whether the append was stored is not known.
var errTimeout = refuse(codes.Aborted, "the append waited too long for the disk")

var errTooLarge = refuse(codes.InvalidArgument, fmt.Sprintf("an append has at most %d bytes", event.MaxAppend),
	"exception", "maximum-append-size-exceeded", "maximum-append-size", strconv.Itoa(event.MaxAppend))

// streamDeleted needs the name in the trailer: the Go client takes it without looking whether it is there.
func streamDeleted(stream string) *refusal {
	return refuse(codes.FailedPrecondition, fmt.Sprintf("stream %q was deleted", stream),
		"exception", "stream-deleted", "stream-name", stream)
}

func wrongVersion(stream string, conflict *embedded.ConflictError) *refusal {
	return refuse(codes.FailedPrecondition, fmt.Sprintf("stream %q: %v", stream, conflict),
		"exception", "wrong-expected-version", "stream-name", stream,
		"expected-version", strconv.FormatInt(conflict.Expected, 10), "actual-version", strconv.FormatInt(conflict.Current, 10))
}

// missingProperty: a proposed event does not tell its type or content type.
func missingProperty(name string) *refusal {
	return refuse(codes.InvalidArgument, fmt.Sprintf("an event does not tell its %s", name),
		"exception", "missing-required-metadata-property", "required-metadata-properties", typeKey+","+contentTypeKey)
}
