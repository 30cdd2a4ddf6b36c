package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/argon2"
)

// programFigures measures the real program over HTTP; the generator runs on the same cores.
func programFigures(b *bench) ([]figure, error) {
	binary, err := build(b)
	if err != nil {
		return nil, err
	}
	p, err := start(binary, filepath.Join(b.dir, "program"))
	if err != nil {
		return nil, err
	}
	defer p.stop()
	figures := []figure{
		{"start to ready", p.ready.Round(time.Millisecond).String(), "", "under 1 s", p.ready < time.Second},
		{"memory when idle", fmt.Sprintf("%.1f MiB", p.idle), "", "under 48 MiB", p.idle < 48},
	}
	const accounts = 256 // so many that no sign-in below reaches an account's session limit
	sessions, err := p.signUp(accounts)
	if err != nil {
		return nil, err
	}
	bare, stop, err := bareServer()
	if err != nil {
		return nil, err
	}
	defer stop()
	limit, _, err := p.load(b.length, bare, 32, func(int, int) []byte { return request("GET", "/", "", "") })
	if err != nil {
		return nil, err
	}
	for _, connections := range []int{8, 32} {
		got, p99, err := middle(func() (float64, time.Duration, error) {
			return p.load(b.length, p.address, connections, func(c, _ int) []byte { return request("GET", "/v1/account", sessions[c], "") })
		})
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{
			fmt.Sprintf("GET /account with a session, %d connections", connections),
			fmt.Sprintf("%s/s, p99 %s", whole(got), p99.Round(100*time.Microsecond)), whole(limit) + "/s (net/http answering the same size, 32 connections)",
			"12,000/s, p99 under 40 ms", got >= 12_000 && p99 < 40*time.Millisecond,
		})
	}
	got, p99, err := middle(func() (float64, time.Duration, error) { return p.load(b.length, p.address, 32, setPrefs(sessions)) })
	if err != nil {
		return nil, err
	}
	figures = append(figures, figure{"PATCH /account/prefs, 32 connections", fmt.Sprintf("%s/s, p99 %s", whole(got), p99.Round(100*time.Microsecond)), whole(limit) + "/s (as above)", "2,500/s", got >= 2_500})

	got, p99, err = middle(func() (float64, time.Duration, error) {
		return p.load(b.length, p.address, 32, func(int, int) []byte { return request("POST", "/v1/account/sessions/anonymous", "", "{}") })
	})
	if err != nil {
		return nil, err
	}
	figures = append(figures, figure{"anonymous sign-up, 32 connections", fmt.Sprintf("%s/s, p99 %s", whole(got), p99.Round(100*time.Microsecond)), whole(limit) + "/s (as above)", "1,500/s", got >= 1_500})

	signIn, err := p.signInFigure(b, accounts)
	return append(figures, signIn), err
}

// signInFigure measures hashes and sign-ins in turns, so that whatever else the machine does hits both alike.
func (p *program) signInFigure(b *bench, accounts int) (figure, error) {
	const connections = 8
	var hashes, signIns, shares []float64
	for range 9 {
		h, err := rate(b.length/2, runtime.NumCPU(), func(int) error {
			_ = argon2.IDKey([]byte("correct horse"), make([]byte, 16), 2, 19*1024, 1, 32)
			return nil
		})
		if err != nil {
			return figure{}, err
		}
		s, _, err := p.load(b.length/2, p.address, connections, func(c, n int) []byte {
			return request("POST", "/v1/account/sessions/email", "", fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, email((n*connections+c)%accounts)))
		})
		if err != nil {
			return figure{}, err
		}
		hashes, signIns, shares = append(hashes, h), append(signIns, s), append(shares, s/h)
	}
	return figure{
		"e-mail sign-in", fmt.Sprintf("%.1f/s, %.2f x", median(signIns), median(shares)),
		fmt.Sprintf("%.1f/s (argon2.IDKey, 19 MiB, t=2, on %d cores)", median(hashes), runtime.NumCPU()), "0.95 x Argon2id", median(shares) >= .95,
	}, nil
}

func median[T cmp.Ordered](of []T) T {
	slices.Sort(of)
	return of[len(of)/2]
}

// middle measures three times and gives the middle rate and p99: a neighbour on the machine disturbs for a moment.
func middle(measure func() (perSecond float64, p99 time.Duration, err error)) (float64, time.Duration, error) {
	var rates []float64
	var p99s []time.Duration
	for range 3 {
		got, p99, err := measure()
		if err != nil {
			return 0, 0, err
		}
		rates, p99s = append(rates, got), append(p99s, p99)
	}
	return median(rates), median(p99s), nil
}

// build builds the program as it is delivered.
func build(b *bench) (binary string, err error) {
	binary = filepath.Join(b.dir, "acta")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/acta")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
}

// program is the real one, running.
type program struct {
	command *exec.Cmd
	address string
	ready   time.Duration
	idle    float64 // MiB resident when ready
}

func start(binary, dir string, environ ...string) (*program, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &program{address: l.Addr().String()}
	l.Close()
	output, err := os.Create(dir + ".log")
	if err != nil {
		return nil, err
	}
	p.command = exec.Command(binary, "serve")
	p.command.Env = append(os.Environ(), "ACTA_LISTEN="+p.address, "ACTA_DATA_DIR="+dir, "ACTA_RATE_LIMITS=false")
	p.command.Env = append(p.command.Env, environ...)
	p.command.Stdout, p.command.Stderr = output, output
	began := time.Now()
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < 10*time.Second {
		if r, err := http.Get("http://" + p.address + "/health/ready"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				p.ready = time.Since(began)
				break
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	if p.ready == 0 {
		p.stop()
		return nil, fmt.Errorf("not ready after 10 s, see %s", output.Name())
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return p, err
	}
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rss)[0], 64)
	p.idle = kib / 1024
	return p, err
}

func (p *program) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = p.command.Wait()
}

func email(n int) string { return fmt.Sprintf("bench%d@example.com", n) }

// signUp makes accounts and gives a session of each.
func (p *program) signUp(accounts int) ([]string, error) {
	sessions := make([]string, accounts)
	for n := range sessions {
		if _, err := p.post("/v1/account", fmt.Sprintf(`{"userId":"bench%d","email":%q,"password":"correct horse","name":"Ada"}`, n, email(n))); err != nil {
			return nil, err
		}
		fallback, err := p.post("/v1/account/sessions/email", fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, email(n)))
		if err != nil {
			return nil, err
		}
		sessions[n] = fallback["a_session_demo"]
	}
	return sessions, nil
}

func (p *program) post(path, body string) (fallback map[string]string, err error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+p.address+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Appwrite-Project", "demo")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("%s: %d %s", path, answer.StatusCode, text)
	}
	_ = json.Unmarshal([]byte(answer.Header.Get("X-Fallback-Cookies")), &fallback) // absent at sign-up
	return fallback, nil
}

// bareServer answers as many bytes as GET /account does, with nothing behind it.
func bareServer() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	body := bytes.Repeat([]byte("x"), 640)
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })}
	go s.Serve(l) //nolint:errcheck // it ends with ErrServerClosed
	return l.Addr().String(), func() { s.Close() }, nil
}

// request is the bytes of a request.
func request(method, path, session, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Appwrite-Project: demo\r\n", method, path)
	if session != "" {
		fmt.Fprintf(&b, "Cookie: a_session_demo=%s\r\n", session)
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// load sends requests over kept connections, the next one when the last was answered. It is lean on purpose: what it
// uses of the cores, the program does not get.
func (p *program) load(length time.Duration, address string, connections int, next func(connection, n int) []byte) (perSecond float64, p99 time.Duration, err error) {
	type connection struct {
		net.Conn
		r    *bufio.Reader
		n    int
		took []time.Duration
	}
	conns := make([]*connection, connections)
	for i := range conns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		conns[i] = &connection{Conn: c, r: bufio.NewReader(c)}
	}
	perSecond, err = rate(length, connections, func(g int) error {
		c := conns[g]
		c.n++
		began := time.Now()
		if _, err := c.Write(next(g, c.n)); err != nil {
			return err
		}
		if err := readAnswer(c.r); err != nil {
			return err
		}
		c.took = append(c.took, time.Since(began))
		return nil
	})
	var all []time.Duration
	for _, c := range conns {
		all = append(all, c.took...)
	}
	if len(all) == 0 {
		return 0, 0, fmt.Errorf("nothing was answered: %w", err)
	}
	slices.Sort(all)
	return perSecond, all[len(all)*99/100], err
}

// readAnswer reads one answer and refuses all but 2xx.
func readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(status) < 12 || status[9] != '2' {
		rest := make([]byte, min(r.Buffered(), 2000))
		_, _ = io.ReadFull(r, rest) // for the message only
		return fmt.Errorf("%s%s", status, rest)
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > 16 && bytes.EqualFold(line[:16], []byte("Content-Length: ")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[16:]))); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}
