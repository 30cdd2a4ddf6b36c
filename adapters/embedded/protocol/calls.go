package protocol

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/actahq/acta/domain/event"
)

// answerUnary and answerStream stand around every call: who asks, and what an error is called on the wire.
func (s *service) answerUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	defer func() { err = s.answer(ctx, info.FullMethod, recover(), err) }()
	if err := s.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

func (s *service) answerStream(server any, call grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer func() { err = s.answer(call.Context(), info.FullMethod, recover(), err) }()
	if err := s.admit(call.Context(), info.FullMethod); err != nil {
		if !info.IsServerStream {
			readOut(call)
		}
		return err
	}
	return handle(server, call)
}

// readOut takes what a client sends before it waits for the answer. A client that is answered while it still sends
// takes that for a broken transport and never sees why.
func readOut(call grpc.ServerStream) {
	for range maxRefused {
		if call.RecvMsg(&emptypb.Empty{}) != nil {
			return
		}
	}
}

// maxRefused bounds how many messages are taken from who may not send any.
const maxRefused = 1000

// admit refuses who is not the user. What clients ask before they send a password is answered to everyone.
func (s *service) admit(ctx context.Context, method string) error {
	if s.user == "" || strings.HasPrefix(method, "/event_store.client.server_features.") || strings.HasPrefix(method, "/event_store.client.gossip.") {
		return nil
	}
	given := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(given) == 0 {
		return refuse(codes.PermissionDenied, "the call needs a user", "exception", "access-denied")
	}
	// Hashes have one length, so that the time to compare them tells nothing.
	want := sha256.Sum256([]byte(s.user + ":" + s.password))
	scheme, encoded, _ := strings.Cut(given[0], " ")
	pair, err := base64.StdEncoding.DecodeString(encoded)
	got := sha256.Sum256(pair)
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || err != nil || !strings.EqualFold(scheme, "basic") {
		return refuse(codes.Unauthenticated, "the user or the password is wrong")
	}
	return nil
}

// answer turns an error into what clients know.
func (s *service) answer(ctx context.Context, method string, panicked any, err error) error {
	var r *refusal
	switch {
	case panicked != nil:
		slog.Error("a call to the event log failed", "method", method, "cause", panicked, "stack", string(debug.Stack()))
		return status.Error(codes.Internal, "the call failed")
	case err == nil:
		return nil
	case errors.As(err, &r):
		grpc.SetTrailer(ctx, metadata.Pairs(r.trailer...))
		return status.Error(r.code, r.text)
	case errors.Is(err, event.ErrUnavailable):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, event.ErrDamaged):
		slog.Error("the event log cannot be read", "method", method, "cause", err)
		return status.Error(codes.DataLoss, err.Error())
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case s.stopping.Err() != nil:
		return s.answer(ctx, method, nil, errStopping)
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	slog.Error("a call to the event log failed", "method", method, "cause", err)
	return status.Error(codes.Unknown, err.Error())
}
