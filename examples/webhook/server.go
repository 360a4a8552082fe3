package main

import (
	"bytes"
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// limits bound what a server takes. The zero value of each field is its default.
type limits struct {
	body         int64  // bytes of a request as sent; 16 MiB
	decompressed int64  // bytes of a request after decompression; 64 MiB
	records      int    // records of a request, of some 1,500 bytes each besides; 100,000
	waiting      int    // requests taken in and not answered yet; 16
	token        string // that senders have to show; none
}

// A server takes requests. Its memory is bounded by limits.waiting requests of
// limits.decompressed bytes and limits.records events, and what the engine holds.
type server struct {
	limits
	mux      http.ServeMux
	origins  http.CrossOriginProtection // a browser sends for any page, and from this machine
	places   chan struct{}              // one value for each request taken in
	commits  *committer
	stopping atomic.Bool
	vars     expvar.Map
}

func newServer(set *detect.Set, engine *detect.Engine, findings io.Writer, l *limits) *server {
	s := &server{limits: *l}
	s.body = cmp.Or(s.body, 16<<20)
	s.decompressed = cmp.Or(s.decompressed, 64<<20)
	s.records = cmp.Or(s.records, 100_000)
	s.places = make(chan struct{}, cmp.Or(s.waiting, 16))
	s.commits = newCommitter(set, engine, findings)
	s.mux.HandleFunc("POST /", s.take)
	s.mux.HandleFunc("GET /healthz", s.health)
	s.mux.Handle("GET /debug/vars", expvar.Handler())
	return s
}

// close ends the work and saves what was learnt.
func (s *server) close() error { return s.commits.close() }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/healthz" && !s.allowed(r) {
		s.refuse(w, r, http.StatusUnauthorized, errors.New("no token, or a wrong one"))
		return
	}
	if s.token == "" && !isLoopback(r.Host) {
		s.refuse(w, r, http.StatusForbidden, fmt.Errorf("the request is for host %q; without CLOUDTELL_TOKEN only localhost, 127.0.0.0/8 and [::1] are served", r.Host))
		return
	}
	if err := s.origins.Check(r); err != nil {
		s.refuse(w, r, http.StatusForbidden, err)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *server) allowed(r *http.Request) bool {
	shown := cmp.Or(r.Header.Get("X-Amz-Firehose-Access-Key"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	return s.token == "" || subtle.ConstantTimeCompare([]byte(shown), []byte(s.token)) == 1
}

// isLoopback reports whether a Host header, with a port or without, is this
// machine's own name or address for itself. A page can have its own name resolved
// to 127.0.0.1, so that to the browser the endpoint is part of the page, but the
// name is still what the browser sends as the host.
func isLoopback(host string) bool {
	u, err := url.Parse("http://" + host)
	if err != nil || u.Host != host {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// health says whether it is any use to send something now.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	switch err := s.commits.trouble(); {
	case s.stopping.Load():
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// An answer says what became of a request's records.
type answer struct {
	Records int `json:"records"`
	// Unread is the number of further records, which could not be read, and
	// Errors says why the first of them could not.
	Unread int      `json:"unread,omitempty"`
	Errors []string `json:"errors,omitempty"`
}

func (s *server) take(w http.ResponseWriter, r *http.Request) {
	s.vars.Add("requests", 1)
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default: // before the body is read: that costs the sender least
		w.Header().Set("Retry-After", "1")
		s.refuse(w, r, http.StatusTooManyRequests, errors.New("too many requests are waiting"))
		return
	}
	events, a, err := s.read(http.MaxBytesReader(w, r.Body, s.body))
	switch {
	case errors.Is(err, event.ErrTooLarge) || isTooLong(err):
		s.refuse(w, r, http.StatusRequestEntityTooLarge, err)
		return
	case err != nil: // the sender broke off
		s.refuse(w, r, http.StatusBadRequest, err)
		return
	case len(events) == 0 && a.Unread > 0:
		s.refuse(w, r, http.StatusBadRequest, errors.New(strings.Join(a.Errors, "\n")))
		return
	}
	if err := s.commits.commit(events); err != nil {
		w.Header().Set("Retry-After", "5")
		s.refuse(w, r, http.StatusServiceUnavailable, err)
		return
	}
	s.vars.Add("accepted", 1)
	if a.Unread > 0 {
		s.vars.Add("unread", int64(a.Unread))
		slog.Warn("records not read", "from", r.RemoteAddr, "records", a.Unread, "first", a.Errors[0])
	}
	s.reply(w, r, http.StatusOK, a, "")
}

func isTooLong(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}

// read decodes a body. One that is too large is refused as a whole, so that its
// sender learns of it; single records that cannot be read are counted.
func (s *server) read(body io.Reader) (events []*event.Event, a answer, err error) {
	options := event.ReadOptions{
		MaxDecompressed: s.decompressed,
		NotAfter:        time.Now().Add(time.Hour), // a wrong clock; later records would look late
	}
	for e, err := range event.Read(body, &options) {
		if err == nil {
			if len(events) == s.records {
				return nil, a, fmt.Errorf("%w: over %d records", event.ErrTooLarge, s.records)
			}
			events = append(events, e.Clone())
			continue
		}
		d, ok := errors.AsType[*event.DecodeError](err)
		if !ok {
			return nil, a, err
		}
		// If that is about one record, it is the error itself; if it ended the input,
		// one that wraps it.
		if errors.Is(d.Err, event.ErrTooLarge) && d.Err != event.ErrTooLarge {
			return nil, a, err
		}
		const shown = 5
		if a.Unread++; a.Unread <= shown {
			a.Errors = append(a.Errors, err.Error())
		}
	}
	a.Records = len(events)
	return events, a, nil
}

// refuse answers that nothing was done.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	s.vars.Add(fmt.Sprint("refused_", status), 1)
	slog.Warn("refused", "from", r.RemoteAddr, "status", status, "error", err)
	s.reply(w, r, status, map[string]string{"error": err.Error()}, err.Error())
}

// reply writes the answer; to Firehose, in the only form that it understands.
func (s *server) reply(w http.ResponseWriter, r *http.Request, status int, a any, message string) {
	if id := r.Header.Get("X-Amz-Firehose-Request-Id"); id != "" {
		a = struct {
			RequestID string `json:"requestId"`
			Timestamp int64  `json:"timestamp"`
			Error     string `json:"errorMessage,omitempty"`
		}{id, time.Now().UnixMilli(), message}
	}
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(a); err != nil {
		slog.Error("reply", "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(text.Bytes()) // whoever does not get it sends again
}
