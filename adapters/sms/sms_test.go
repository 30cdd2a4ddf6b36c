package sms

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	with := func(provider string, change func(*Config)) Config {
		c := all[provider]
		change(&c)
		return c
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, "sms.provider: not webhook, twilio, vonage, msg91, telesign or textmagic"},
		{Config{Provider: "canary"}, "sms.provider: not webhook, twilio, vonage, msg91, telesign or textmagic"},
		{all["webhook"], "sms.url: missing"},
		{at(all["webhook"], "sms.example/canary"), "sms.url: not a URL such as https://example.com/path"},
		{at(all["webhook"], "ftp://sms.example/canary"), "sms.url: not a URL such as https://example.com/path"},
		{at(all["webhook"], "https:///canary"), "sms.url: not a URL such as https://example.com/path"},
		{at(all["webhook"], "https://ada:canary@%zz"), "sms.url: not a URL such as https://example.com/path"},
		{at(all["twilio"], "canary"), "sms.url: not a URL such as https://example.com/path"},
		{at(all["twilio"], "https://canary\n"), "sms.url: holds a line break or another control character"},
		{with("twilio", func(c *Config) { c.From = "" }), "sms.from: missing"},
		{with("twilio", func(c *Config) { c.User = "" }), "sms.user: missing"},
		{with("twilio", func(c *Config) { c.Key = "" }), "sms.key: missing"},
		{with("twilio", func(c *Config) { c.Key = "canary\n" }), "sms.key: holds a line break or another control character"},
		{with("vonage", func(c *Config) { c.From = "" }), "sms.from: missing"},
		{with("vonage", func(c *Config) { c.User = "" }), "sms.user: missing"},
		{with("vonage", func(c *Config) { c.Key = "" }), "sms.key: missing"},
		{with("msg91", func(c *Config) { c.User = "" }), "sms.user: missing"},
		{with("msg91", func(c *Config) { c.Key = "" }), "sms.key: missing"},
		{with("telesign", func(c *Config) { c.User = "" }), "sms.user: missing"},
		{with("telesign", func(c *Config) { c.Key = "" }), "sms.key: missing"},
		{with("textmagic", func(c *Config) { c.User = "" }), "sms.user: missing"},
		{with("textmagic", func(c *Config) { c.Key = "" }), "sms.key: missing"},
		{with("textmagic", func(c *Config) { c.User = "canary\x00" }), "sms.user: holds a line break or another control character"},
	} {
		if _, err := New(c.config); text(err) != c.want {
			t.Errorf("%+v:\n got %v\nwant %s", c.config, err, c.want)
		}
	}
	for _, c := range []Config{
		{Provider: "webhook", URL: "http://127.0.0.1:9/sms"}, // neither user nor key
		{Provider: "msg91", User: "flow1", Key: "k"},
		{Provider: "telesign", User: "c", Key: "k"},
		{Provider: "textmagic", User: "c", Key: "k"},
	} {
		if _, err := New(c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestMessagesThatNoProviderTakesAreNotTried(t *testing.T) {
	var tries atomic.Int64
	s := open(t, at(all["webhook"], serve(t, func(http.ResponseWriter, *http.Request) { tries.Add(1) })))
	for _, m := range []Message{
		{},
		{ID: "1", To: "", Text: "418"},
		{ID: "1", To: "4917012345678", Text: "418"},
		{ID: "1", To: "+0917012345678", Text: "418"},
		{ID: "1", To: "+4917012345678901", Text: "418"},
		{ID: "1", To: "+4917012345678,+4917012345679", Text: "418"},
		{ID: "1", To: "+4917012345678\n", Text: "418"},
		{ID: "1", To: "+4917012345678", Text: ""},
		{ID: "1", To: "+4917012345678", Text: "\xff"},
		{ID: "1", To: "+4917012345678", Text: strings.Repeat("ä", 1601)},
		{ID: "", To: "+4917012345678", Text: "418"},
	} {
		if err := s.Send(t.Context(), m); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if n := tries.Load(); n != 0 {
		t.Errorf("%d were tried", n)
	}
	if err := s.Send(t.Context(), Message{ID: "1", To: "+4917012345678", Text: strings.Repeat("ä", 1600)}); err != nil {
		t.Error(err)
	}
}

func TestAHeaderCannotBeInjected(t *testing.T) {
	var tries atomic.Int64
	s := open(t, at(all["webhook"], serve(t, func(http.ResponseWriter, *http.Request) { tries.Add(1) })))
	for _, id := range []string{"1\r\nX-Key: other", "1\n", "1\x00"} {
		if err := s.Send(t.Context(), Message{ID: id, To: message.To, Text: message.Text}); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if n := tries.Load(); n != 0 {
		t.Errorf("%d were tried", n)
	}
}

func TestACallerWhoHasLeftIsNotServed(t *testing.T) {
	var tries atomic.Int64
	s := open(t, at(all["webhook"], serve(t, func(http.ResponseWriter, *http.Request) { tries.Add(1) })))
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := s.Send(ctx, message); !errors.Is(err, context.Canceled) || tries.Load() != 0 {
		t.Errorf("%v after %d tries", err, tries.Load())
	}
}

func TestManyCanSendAtOnce(t *testing.T) {
	var tries atomic.Int64
	s := open(t, at(all["webhook"], serve(t, func(http.ResponseWriter, *http.Request) { tries.Add(1) })))
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for range 20 {
				if err := s.Send(t.Context(), message); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	if n := tries.Load(); n != 160 {
		t.Errorf("%d tries, want 160", n)
	}
}
