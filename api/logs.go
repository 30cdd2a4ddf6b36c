package api

import (
	"context"
)

type logListAnswer struct{ Body *LogList }

// defaultLogs is how many lines a page has when nobody says.
const defaultLogs = 25

func (a *API) listLogs(ctx context.Context, in *paging) (*logListAnswer, error) {
	c := callOf(ctx)
	entries, err := a.ReadModels.SecurityLog(ctx, *c.account, in.limitOr(defaultLogs), in.offset)
	if err != nil {
		return nil, err
	}
	list := &LogList{Total: c.account.Logged, Logs: make([]Log, len(entries))}
	if in.noTotal {
		list.Total = 0
	}
	for i, e := range entries {
		list.Logs[i] = Log{
			Event: e.Event, UserID: c.account.ID, UserEmail: e.Email, UserName: e.Name, Mode: "default",
			IP: e.IP, Time: Time{e.At}, Device: a.Device(e.UserAgent), Country: c.country(e.IP),
		}
	}
	return &logListAnswer{list}, nil
}
